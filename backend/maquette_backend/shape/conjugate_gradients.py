"""Conjugate gradients (Hestenes and Stiefel 1952) for several right sides at once, scaled by the diagonal."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

ACCURACY = 1e-8
"""The residual's length over the right side's: beyond single precision."""
MOST_ITERATIONS = 1000


class ConjugateGradients:
    """Solves A x = b for a sparse, symmetric, positive definite A without factorising it."""

    def __init__(self, matrix: sparse.csc_matrix) -> None:
        """``matrix`` float64 [N,N]."""
        self._matrix = matrix.tocsr()
        self._inverse_diagonal = 1 / self._matrix.diagonal()[:, None]

    def solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """x [N,C] for ``right`` [N,C]. Raises ``ArithmeticError`` where it does not converge."""
        x = np.zeros_like(right)
        residual = right.copy()
        scaled = self._inverse_diagonal * residual
        direction, energy = scaled.copy(), _dots(residual, scaled)
        enough = ACCURACY**2 * _dots(right, right)
        for _ in range(MOST_ITERATIONS):
            if (_dots(residual, residual) <= enough).all():
                return x
            image = self._matrix @ direction
            length = _ratio(energy, _dots(direction, image))
            x += length * direction
            residual -= length * image
            scaled = self._inverse_diagonal * residual
            before, energy = energy, _dots(residual, scaled)
            direction = scaled + _ratio(energy, before) * direction
        raise ArithmeticError(f"{MOST_ITERATIONS} conjugate gradients did not reach an accuracy of {ACCURACY:g}")


def _dots(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    """Column by column, [C]."""
    return np.einsum("nc,nc->c", one, two)


def _ratio(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 where a column is solved already."""
    return np.where(two > 0, one / np.where(two > 0, two, 1), 0)
