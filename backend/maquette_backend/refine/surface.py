"""What is optimised has a surface; how it may move is a body's own affair."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from maquette_backend.render.edges import Topology


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in unit space."""

    positions: Tensor
    """[V,3], differentiable in the body's parameters."""
    triangles: Tensor
    """int64 [F,3], counter-clockwise seen from outside."""
    topology: Topology
    displacement: Tensor | None = None
    """What moved it, in the body's own terms, for the body's own penalty."""


class Body(Protocol):
    """A shape that can be moved by gradients, within a bound."""

    learning_rate: float

    def surface(self) -> Surface: ...

    def penalty(self, surface: Surface) -> Tensor:
        """Scalar: what the regularisers say about the present state."""
        ...

    def parameters(self) -> Iterable[nn.Parameter]: ...

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> object: ...

