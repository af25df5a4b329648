"""Keep Topology: a change of variables under which plain gradient steps move a mesh smoothly.

Nicolet, Jacobson and Jakob 2021, "Large Steps in Inverse Rendering of Geometry", eq. 8: optimise
u = (I + λL) v in place of the positions v. Their L is the uniform Laplacian, whose reach is a number of edges
(about √(3λ/2) of them on regular triangles): on a mesh of few vertices as far as the whole object. Here every
edge counts for its own inverse square, as in finite differences, so that λL smooths over the same length in space
whatever the mesh is like; one of equal edges gets L times a number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU, splu
from torch import Tensor

from .adjacency import unique_edges
from .conjugate_gradients import ConjugateGradients
from .places import first_at_each_place

MOST_FACTORISED = 60_000
"""Vertices above which a factor would take longer, and more memory, than it saves: the system is so well conditioned
that a few dozen iterations solve it to single precision."""

EDGE = 0.02
"""Edges of this length, in the mesh's unit, count for λ itself: about those of an object of size 1 with 10,000 vertices.
With λ = 10 a motion is smooth over √15 of them, 0.08."""
SOFTEST, STIFFEST = 1.0, 50.0
"""The least and the most that an edge counts for, about what Nicolet et al. use. Below it the vertices of a mesh of very
few, whose edges are longer than √λ · EDGE, would each go its own way, and a pole of two rings be pinched; above it there is
nothing to gain, and edges of no length would make the system ill-conditioned."""

Solver = SuperLU | ConjugateGradients


class LargeSteps:
    """The map between positions (or offsets) and their differential form, for one fixed mesh.

    Vertices at equal positions count as one, so a mesh that arrives split along its creases does not tear:
    they receive the same value, and the mean of their gradients. Pinned vertices have the value 0 (a Dirichlet
    boundary), which their neighbours approach smoothly. The system is factorised once where it is small; a map then
    costs one pair of triangular solves on the CPU, wherever the values live: a direct sparse solver on a GPU is no part
    of torch, and the copies of a few hundred kilobytes are small beside a step.
    """

    def __init__(self, vertices: Tensor, triangles: Tensor, smoothness: float, pinned: Tensor | None = None) -> None:
        """``vertices`` [V,3], ``triangles`` [F,3]; ``smoothness`` is λ ≥ 0 at edges as long as EDGE: 0 changes nothing.

        ``pinned`` bool [V]; none: no vertex. Raises ``ValueError`` for a negative or infinite λ.
        """
        if not 0 <= smoothness < float("inf"):
            raise ValueError(f"smoothness must be finite and at least 0, not {smoothness}")
        first = first_at_each_place(vertices.detach().cpu().numpy())
        _, group = np.unique(first, return_inverse=True)
        self._group = torch.from_numpy(group.reshape(-1).astype(np.int64)).to(vertices.device)
        self._count = int(group.max()) + 1 if len(group) else 0
        self._share = 1 / torch.bincount(self._group, minlength=self._count).clamp(min=1)
        free = torch.ones(self._count, dtype=torch.bool)
        if pinned is not None:
            free[self._group[pinned].cpu()] = False
        kept = free.nonzero()[:, 0]
        self._free = None if len(kept) == self._count else kept.to(vertices.device)
        places = np.zeros((self._count, 3))
        places[group.reshape(-1)] = vertices.detach().cpu().double().numpy()
        whole = system_matrix(self._group[triangles.long()].cpu(), places, smoothness)
        self._matrix = whole[kept.numpy()][:, kept.numpy()].tocsc()
        self._solver = _solver_of(self._matrix) if len(kept) else None

    def to_differential(self, values: Tensor) -> Tensor:
        """(I + λL) v for ``values`` [V,C], not on the tape; pinned vertices count as 0."""
        merged = self._merged(values.detach()).cpu().double().numpy()
        return self._spread(torch.from_numpy(self._matrix @ merged).to(values))

    def from_differential(self, values: Tensor) -> Tensor:
        """(I + λL)⁻¹ u for ``values`` [V,C], differentiable; 0 at pinned vertices."""
        if self._solver is None:
            return values * 0
        solved = _Solve.apply(self._merged(values), self._solver)
        assert isinstance(solved, Tensor)
        return self._spread(solved)

    def _merged(self, values: Tensor) -> Tensor:
        """Mean over vertices at the same position, of those that are free, [free groups,C]."""
        total = values.new_zeros((self._count, values.shape[1])).index_add(0, self._group, values)
        mean = total * self._share[:, None].to(values)
        return mean if self._free is None else mean.index_select(0, self._free)

    def _spread(self, solved: Tensor) -> Tensor:
        """[free groups,C] → [V,C]."""
        if self._free is not None:
            solved = solved.new_zeros((self._count, solved.shape[1])).index_copy(0, self._free, solved)
        return solved.index_select(0, self._group)


def system_matrix(triangles: Tensor, places: NDArray[np.float64], smoothness: float) -> sparse.csc_matrix:
    """I + λL as a sparse float64 matrix [V,V] for ``triangles`` [F,3] of vertices at ``places`` [V,3]."""
    edges = unique_edges(triangles).numpy()
    edges = edges[edges[:, 0] != edges[:, 1]]
    length = np.linalg.norm(places[edges[:, 0]] - places[edges[:, 1]], axis=1)
    weight = smoothness * (EDGE / np.maximum(length, 1e-12)) ** 2
    weight = np.clip(weight, min(SOFTEST, smoothness), max(STIFFEST, smoothness))
    rows, columns = np.concatenate([edges, edges[:, ::-1]]).T
    both = np.tile(weight, 2)
    count = len(places)
    degree = np.bincount(rows, both, minlength=count)
    adjacency = sparse.csc_matrix((both, (rows, columns)), shape=(count, count))
    return sparse.csc_matrix(sparse.diags(1 + degree) - adjacency)


def _solver_of(matrix: sparse.csc_matrix) -> Solver:
    if len(matrix.indptr) - 1 > MOST_FACTORISED:  # rows
        return ConjugateGradients(matrix)
    # symmetric and diagonally dominant: no pivoting needed, so the fill-reducing order can be symmetric too
    return splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


class _Solve(torch.autograd.Function):
    """x = A⁻¹ b for a symmetric A; so the gradient of b is A⁻¹ times that of x."""

    @staticmethod
    def forward(ctx: Any, right: Tensor, solver: Solver) -> Tensor:
        ctx.solver = solver
        return _solved(solver, right)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _solved(ctx.solver, gradients[0]), None


def _solved(solver: Solver, right: Tensor) -> Tensor:
    values: NDArray[np.float64] = right.detach().cpu().double().numpy()
    return torch.from_numpy(solver.solve(np.ascontiguousarray(values))).to(right)
