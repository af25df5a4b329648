"""ControlNets: networks beside a prior's own that show it the depth or the normals of what it looks at (Zhang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from maquette_backend.priors.registry import Shows


class ControlNet(Protocol):
    """One that has been loaded."""

    @property
    def name(self) -> str: ...

    @property
    def shows(self) -> Shows:
        """What its pictures are of."""
        ...


@dataclass(frozen=True)
class Hint:
    """What a ControlNet is shown of a step's views."""

    control: ControlNet
    picture: Tensor
    """[B,3,H,W] in 0..1"""
    weight: float
    """What its share counts for."""


@runtime_checkable
class HearsControls(Protocol):
    """What a prior may have besides: ControlNets can speak in its network. Check with ``isinstance``."""

    def check_control(self, control: ControlNet) -> None:
        """Raises ValueError, saying what differs, if it was made for another network."""
        ...

    def hearing(self, hints: Sequence[Hint]) -> AbstractContextManager[None]:
        """Within it every evaluation, of the hints' B views or of several times as many, hears them."""
        ...

    def hearing_some(self, rows: slice) -> AbstractContextManager[None]:
        """Within ``hearing``: evaluations are of these of the B views."""
        ...
