"""A learned function of position: features of many resolutions in small tables (Müller et al. 2022, "Instant NGP")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_PRIMES = (1, 2_654_435_761, 805_459_861)
"""Of the paper's equation 4; the first is 1, so that neighbours along x stay neighbours in memory."""
_INITIAL = 1e-4
"""Features start uniform within ± this (the paper's section 4)."""
_MAX_LOG2_TABLE = 24


@dataclass(frozen=True)
class HashGridSettings:
    """Size of the tables. The defaults suit a CPU; published systems take 16 levels of 2¹⁹ entries, 16 to 4096."""

    levels: int = 8
    features: int = 2
    """Per level."""
    log2_table: int = 16
    """Entries of a level, at most 2 to this power; a coarser level has one for each of its corners."""
    coarsest: int = 8
    """Cells per side."""
    finest: int = 256
    """Cells per side; the levels between grow geometrically."""

    def __post_init__(self) -> None:
        sound = 1 <= self.levels <= 32 and 1 <= self.features <= 16 and 4 <= self.log2_table <= _MAX_LOG2_TABLE
        if not sound or not 1 <= self.coarsest <= self.finest <= 1 << 16:
            raise ValueError(f"a hash grid cannot be built with {self}")

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Cells per side of every level (the paper's equations 2 and 3)."""
        growth = (self.finest / self.coarsest) ** (1 / max(1, self.levels - 1))
        return tuple(int(self.coarsest * growth**level + 1e-6) for level in range(self.levels))


class HashGrid(nn.Module):
    """Features of all levels at any point of a cube centred on the origin; the border's value goes on beyond it.

    ``half_extent`` is half the cube's side; ``mirror_x`` makes the function symmetric in x; ``seed`` is that of the start.
    """

    def __init__(
        self,
        settings: HashGridSettings | None = None,
        half_extent: float = 0.62,
        mirror_x: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.settings = settings or HashGridSettings()
        self.half_extent = half_extent
        self.mirror_x = mirror_x
        table = 1 << self.settings.log2_table
        self.dense_levels = sum((n + 1) ** 3 <= table for n in self.settings.resolutions)
        entries = [min((n + 1) ** 3, table) for n in self.settings.resolutions]
        self.table = nn.Parameter(torch.zeros(sum(entries), self.settings.features))
        self.forget(torch.Generator().manual_seed(seed))
        starts = [sum(entries[:level]) for level in range(len(entries))]
        self.register_buffer("starts", torch.tensor(starts), persistent=False)
        self.register_buffer("cells", torch.tensor(self.settings.resolutions, dtype=torch.float32), persistent=False)

    @torch.no_grad()
    def forget(self, generator: torch.Generator) -> None:
        """Back to features of next to nothing, drawn from ``generator`` (on the CPU, so alike on every device)."""
        self.table.copy_((torch.rand(self.table.shape, generator=generator) * 2 - 1) * _INITIAL)

    @property
    def channels(self) -> int:
        """Width of what ``forward`` gives: levels · features."""
        return self.settings.levels * self.settings.features

    def forward(self, points: Tensor) -> Tensor:
        """Features [P, levels·features] at ``points`` [P,3]; differentiable in both the tables and the points."""
        rows, weights = self.corners(points)
        features: Tensor = _WeighedRows.apply(self.table, rows, weights)  # pyright: ignore[reportAssignmentType]
        return features.reshape(self.settings.levels, len(points), -1).transpose(0, 1).flatten(1)

    def corners(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of the table and trilinear weights [L·P,8] of the cell around each of ``points`` [P,3] at every level."""
        unit = points.T / self.half_extent
        if self.mirror_x:
            unit = torch.cat([unit[:1].abs(), unit[1:]])
        cells = self.get_buffer("cells")[:, None]
        where = (unit * 0.5 + 0.5).clamp(0, 1)[:, None, :] * cells  # [3,L,P]: long rows are fast
        low = torch.minimum(where.detach().floor(), cells - 1)
        x, y, z = (where - low).unbind(0)
        flat = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], -1)
        weights = torch.cat([flat * (1 - z)[..., None], flat * z[..., None]], -1)
        corner = low.long()
        dense, hashed = corner[:, : self.dense_levels], corner[:, self.dense_levels :]
        rows = torch.cat([self._dense_rows(dense), self._hashed_rows(hashed)])
        return (rows + self.get_buffer("starts")[:, None, None]).reshape(-1, 8), weights.reshape(-1, 8)

    def _dense_rows(self, corner: Tensor) -> Tensor:
        """Lowest corners [3,l,P] of cells at the levels with an entry for every corner → [l,P,8]."""
        side = self.get_buffer("cells")[: self.dense_levels].long()[:, None] + 1
        first = corner[0] + side * (corner[1] + side * corner[2])
        steps = [dx + side * (dy + side * dz) for dz in (0, 1) for dy in (0, 1) for dx in (0, 1)]
        return torch.stack([first + step for step in steps], -1)

    def _hashed_rows(self, corner: Tensor) -> Tensor:
        """Lowest corners [3,l,P] of cells at the levels whose corners share entries → [l,P,8]."""
        mask = (1 << self.settings.log2_table) - 1
        x, y, z = ([corner[axis] * prime & mask, (corner[axis] + 1) * prime & mask] for axis, prime in enumerate(_PRIMES))
        return torch.stack([x[i] ^ y[j] ^ z[k] for k in (0, 1) for j in (0, 1) for i in (0, 1)], -1)


class _WeighedRows(torch.autograd.Function):
    """Σ over 8 of weights [N,8] times rows [N,8] of a table [T,F] → [N,F].

    PyTorch's own gradient of an embedding bag sorts the rows first, which takes twenty times as long on a CPU as adding
    one feature after the other.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, weights)
        return nn.functional.embedding_bag(rows, table, mode="sum", per_sample_weights=weights.contiguous())

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride] - the decorator drops its signature
        ctx: Any, *gradients: Tensor
    ) -> tuple[Tensor | None, None, Tensor | None]:
        table, rows, weights = ctx.saved_tensors
        (gradient,) = gradients
        to_table, to_weights = None, None
        if ctx.needs_input_grad[0]:
            columns = table.new_zeros(table.shape[1], table.shape[0])
            for column, share in zip(columns, gradient.unbind(1), strict=True):
                column.scatter_add_(0, rows.reshape(-1), (share[:, None] * weights).reshape(-1))
            to_table = columns.T.contiguous()
        if ctx.needs_input_grad[2]:
            values = table.index_select(0, rows.reshape(-1)).reshape(*rows.shape, -1)
            to_weights = (values * gradient[:, None, :]).sum(-1)
        return to_table, None, to_weights
