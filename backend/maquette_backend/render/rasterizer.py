"""The rasteriser interface, with nvdiffrast's conventions, and the one implementation over any visibility."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from maquette_backend.render.antialias import antialias
from maquette_backend.render.edges import Topology
from maquette_backend.render.fragments import fragments_of, rast_from_ids
from maquette_backend.render.texturing import level_of_detail, sample_texture

MAX_TRIANGLES = 1 << 24
"""A rast holds id + 1 as a 32-bit float, exact up to here."""
MAX_SIDE_PX = 16384


class Rasterizer(Protocol):
    """Draws triangles. Images have row 0 at the bottom; a pixel centre is NDC ``(x + .5)·2/W − 1``.

    Conventions of Laine et al. 2020, "Modular Primitives for High-Performance Differentiable Rendering".
    """

    def rasterize(self, pos: Tensor, tri: Tensor, size: tuple[int, int]) -> Tensor:
        """Clip-space pos [N,V,4], tri [F,3], (H,W) pixels → rast [N,H,W,4]: u, v, z/w, triangle id + 1; 0 = empty.

        u and v weigh corners 0 and 1 and are differentiable in ``pos``; corner 2 has 1 − u − v.
        """
        ...

    def interpolate(self, attr: Tensor, rast: Tensor, tri: Tensor) -> Tensor:
        """Vertex attributes [V,C] or [N,V,C] → [N,H,W,C], zero where empty."""
        ...

    def texture(self, tex: Tensor, uv: Tensor, uv_da: Tensor | None = None, level: Tensor | None = None) -> Tensor:
        """tex [1|N,Ht,Wt,C] (row 0 at v = 0, repeated outside 0..1), uv [N,H,W,2] → [N,H,W,C].

        Bilinear; trilinear over a mip pyramid with ``uv_da`` [N,H,W,4] (du/dx, du/dy, dv/dx, dv/dy per pixel)
        or a level of detail [N,H,W], 0 = full size.
        """
        ...

    def antialias(self, color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor, topology: Topology) -> Tensor:
        """color [N,H,W,C] → the same with silhouettes blended: the gradient of visibility."""
        ...


class Visibility(Protocol):
    """Finds the nearest triangle of every pixel; nothing in it is differentiated."""

    def __call__(self, pos: Tensor, tri: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Clip-space pos [N,V,4], tri [F,3], (H,W) → id + 1 [N,H,W] int32 (0 = empty) and z/w [N,H,W] float32."""
        ...


@dataclass(frozen=True)
class EdgeRasterizer:
    """Any visibility, with barycentrics, interpolation, texturing and edge-driven antialiasing in torch."""

    visibility: Visibility

    def rasterize(self, pos: Tensor, tri: Tensor, size: tuple[int, int]) -> Tensor:
        check_rasterize(pos, tri, size)
        ids, depth = self.visibility(pos.detach(), tri, size)
        return rast_from_ids(pos, tri, ids, depth)

    def interpolate(self, attr: Tensor, rast: Tensor, tri: Tensor) -> Tensor:
        fragments = fragments_of(rast, tri)
        return fragments.scatter(fragments.interpolate(attr))

    def texture(self, tex: Tensor, uv: Tensor, uv_da: Tensor | None = None, level: Tensor | None = None) -> Tensor:
        if uv_da is not None:
            level = level_of_detail(uv_da, (tex.shape[1], tex.shape[2]))
        return sample_texture(tex, uv, level)

    def antialias(self, color: Tensor, rast: Tensor, pos: Tensor, tri: Tensor, topology: Topology) -> Tensor:
        return antialias(color, rast, pos, tri, topology)


def check_rasterize(pos: Tensor, tri: Tensor, size: tuple[int, int]) -> None:
    """Raises ValueError on shapes or sizes that no visibility accepts, before anything is allocated."""
    if pos.ndim != 3 or pos.shape[-1] != 4:
        raise ValueError(f"pos must be clip space [N,V,4], got {tuple(pos.shape)}")
    if tri.ndim != 2 or tri.shape[-1] != 3:
        raise ValueError(f"tri must be [F,3], got {tuple(tri.shape)}")
    if tri.shape[0] >= MAX_TRIANGLES:
        raise ValueError(f"{tri.shape[0]} triangles; a rast can number at most {MAX_TRIANGLES - 1}: simplify first")
    if not all(1 <= side <= MAX_SIDE_PX for side in size):
        raise ValueError(f"image size {size} px; each side must be 1..{MAX_SIDE_PX}")
    if tri.shape[0] and (int(tri.min()) < 0 or int(tri.max()) >= pos.shape[1]):
        raise ValueError(f"triangle corners {int(tri.min())}..{int(tri.max())} for {pos.shape[1]} vertices")
