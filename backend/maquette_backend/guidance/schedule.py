"""Diffusion times over a run: wide and noisy first, narrow and fine last (annealed t)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TimeSchedule:
    """A range of diffusion times that moves linearly from ``start`` to ``end`` over the run.

    Times are fractions of the prior's noise schedule, 0 clean and 1 pure noise. Annealing the upper
    bound follows ProlificDreamer and Magic3D; a constant range is ``start == end``.
    """

    start: tuple[float, float]
    end: tuple[float, float]

    def bounds(self, progress: float) -> tuple[float, float]:
        """Lower and upper time at ``progress`` in 0..1 of the run."""
        low = self.start[0] + (self.end[0] - self.start[0]) * progress
        high = self.start[1] + (self.end[1] - self.start[1]) * progress
        return low, high

    def sample(self, progress: float, views: int, generator: torch.Generator) -> Tensor:
        """Uniform times [views] between the bounds."""
        low, high = self.bounds(progress)
        return low + (high - low) * torch.rand(views, generator=generator)
