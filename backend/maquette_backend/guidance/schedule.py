"""Diffusion times and guidance scales over a run: wide and noisy first, narrow and fine last (annealed t)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Times(Protocol):
    """Which diffusion times a step draws."""

    def bounds(self, progress: float) -> tuple[float, float]:
        """Lower and upper time at ``progress`` in 0..1 of the run."""
        ...

    def sample(self, progress: float, views: int, generator: torch.Generator) -> Tensor:
        """Times [views] between the bounds."""
        ...


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


@dataclass(frozen=True)
class SwitchedTimes:
    """Uniform times between the bounds ``before``, and from ``at`` 0..1 of the run on between those of ``after``.

    ProlificDreamer (its annealed time schedule) and X-Dreamer's appearance stage change like this.
    """

    before: tuple[float, float]
    after: tuple[float, float]
    at: float

    def bounds(self, progress: float) -> tuple[float, float]:
        """Lower and upper time at ``progress`` in 0..1 of the run."""
        return self.before if progress < self.at else self.after

    def sample(self, progress: float, views: int, generator: torch.Generator) -> Tensor:
        """Uniform times [views] between the bounds."""
        low, high = self.bounds(progress)
        return low + (high - low) * torch.rand(views, generator=generator)


@dataclass(frozen=True)
class SquareRootTimes:
    """One time a step, falling from ``high`` to ``low`` as the square root of progress (HiFA, timestep annealing).

    Fast through the noisy times, where little is decided, slow through the fine ones.
    """

    high: float
    low: float

    def bounds(self, progress: float) -> tuple[float, float]:
        """The step's time, twice."""
        time = self.high - (self.high - self.low) * math.sqrt(progress)
        return time, time

    def sample(self, progress: float, views: int, generator: torch.Generator) -> Tensor:
        """The same time [views] for every view; nothing is drawn."""
        return torch.full((views,), self.bounds(progress)[0])


@dataclass(frozen=True)
class ScaleSchedule:
    """A guidance scale that moves linearly from ``start`` to ``end``: strong while the shape is found, mild for detail."""

    start: float
    end: float

    def at(self, progress: float) -> float:
        """The scale at ``progress`` in 0..1 of the run."""
        return self.start + (self.end - self.start) * progress
