"""A subject's shape once the geometry stage is behind it, and how a checkpoint holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maquette_backend.refine.finish import Mesh

_MESH = ("positions", "triangles", "corner_uvs")


@dataclass(frozen=True)
class Moved:
    """What appearance is painted on and what the artist gets."""

    mesh: Mesh
    """In unit space, with UVs."""
    positions: NDArray[np.float32]
    """[V,3] of the same mesh in object space. Where the topology stayed they come from what was sent and not back from
    unit space, so that a vertex that did not move has the very bits it had."""

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """For a checkpoint."""
        assert self.mesh.corner_uvs is not None
        arrays: dict[str, NDArray[np.generic]] = {f"mesh/{name}": getattr(self.mesh, name) for name in _MESH}
        return arrays | {"object_positions": self.positions}

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[np.generic]]) -> Moved:
        """``to_arrays``' opposite."""
        positions, triangles, uvs = (arrays[f"mesh/{name}"] for name in _MESH)
        return Moved(
            Mesh(positions.astype(np.float32), triangles.astype(np.int32), uvs.astype(np.float32)),
            arrays["object_positions"].astype(np.float32),
        )
