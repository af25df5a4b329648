"""What an artist gives to start a texture from, and how much of each texel may change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import ArrayRef, Subject, SurfaceMaps
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from scipy.spatial import KDTree

from maquette_backend.refine.events import ArrayReader
from maquette_backend.refine.texel_map import TexelMap

FEATHER = 0.03
"""Over this distance from what is kept changes fade in, in units of the longest side."""
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Given:
    """One subject's maps and masks, ``size`` px square where they are images."""

    base_color: Bytes | None  # [S,S,3] sRGB
    roughness: Bytes | None  # [S,S]
    metallic: Bytes | None  # [S,S]
    normal: Bytes | None  # [S,S,3]
    keep_look: float
    texel_mask: Bytes | None  # [S,S]
    painted: NDArray[np.bool_] | None  # [F], of the mesh that was sent
    vertex_share: NDArray[np.float32] | None  # [V]

    @property
    def starts(self) -> bool:
        """Whether there is any map to start from."""
        return any(image is not None for image in (self.base_color, self.roughness, self.metallic, self.normal))


def read_given(subject: Subject, read: ArrayReader, vertex_share: NDArray[np.float32]) -> Given:
    """The maps and masks of ``subject``; ``vertex_share`` [V] is its checked vertex mask, which counts in texture only.

    Raises MaquetteError INVALID_RECIPE where a mask lets nothing change, naming the object.
    """
    maps, size = subject.maps or SurfaceMaps(), subject.texture_size
    vertices = vertex_share if subject.mode == "texture_only" and subject.mask is not None else None
    painted = None if subject.painted_triangles is None else np.asarray(read(subject.painted_triangles)) != 0
    mask = _image(read, subject.texel_mask, lambda image: _nearest(image, size))
    for what, share in (("mask", vertices), ("texel mask", mask), ("list of painted triangles", painted)):
        if share is not None and not share.any():
            raise MaquetteError(
                ErrorCode.INVALID_RECIPE,
                f"The {what} of “{subject.name}” is 0 everywhere: nothing of its texture may change.",
                "Give it a value above 0 somewhere, or take it away.",
            )
    images = {name: _image(read, ref, lambda image: _resampled(image, size)) for name, ref in vars(maps).items()}
    return Given(**images, keep_look=subject.keep_look, texel_mask=mask, painted=painted, vertex_share=vertices)


def shares(given: Given, texels: TexelMap, triangles: NDArray[np.int32]) -> NDArray[np.float32]:
    """How far each of P texels may go from what was given: 0 keeps its bits, 1 is free. Without maps 0 says "not wanted".

    ``triangles`` [F,3] index the vertices of the mesh that was sent. The border feathers inside of what may change, over
    the surface and not over the picture, so that it does so across seams too.
    """
    share: NDArray[np.float32] = np.ones(len(texels.points), np.float32)
    if given.painted is not None:
        share *= given.painted[texels.triangles]
    if given.vertex_share is not None:
        corners = given.vertex_share[triangles[texels.triangles]]
        share = np.minimum(share, (corners * texels.weights).sum(1))
    if given.texel_mask is not None:
        share = np.minimum(share, given.texel_mask[texels.covered].astype(np.float32) / 255)
    return share * _fade(share == 0, texels)


def _fade(kept: NDArray[np.bool_], texels: TexelMap) -> NDArray[np.float32]:
    """0 at what is kept, rising smoothly to 1 at a distance of FEATHER over the same connected part."""
    result: NDArray[np.float32] = np.ones(len(kept), np.float32)
    border = kept & _rim(kept, texels)
    if not border.any():
        return result
    places = texels.places()
    distance, _ = KDTree(places[border]).query(places[~kept], distance_upper_bound=FEATHER)
    rise = np.minimum(distance / FEATHER, 1.0)
    result[~kept] = rise * rise * (3 - 2 * rise)
    return result


def _rim(kept: NDArray[np.bool_], texels: TexelMap) -> NDArray[np.bool_]:
    """Texels beside another sort of texel: the only ones that can be nearest to something."""
    sort = texels.image(kept.astype(np.uint8) + np.uint8(1), np.zeros((texels.size,) * 2, np.uint8))
    edge = ndimage.minimum_filter(sort, 3, mode="nearest") != ndimage.maximum_filter(sort, 3, mode="nearest")
    edge[[0, -1]] = edge[:, [0, -1]] = True
    return edge[texels.covered]


def _image(read: ArrayReader, ref: ArrayRef | None, fit: Callable[[Bytes], Bytes]) -> Bytes | None:
    return None if ref is None else fit(np.ascontiguousarray(read(ref), np.uint8))


def _resampled(image: Bytes, size: int) -> Bytes:
    """``size`` px square; the very bits where it is that already."""
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))


def _nearest(image: Bytes, size: int) -> Bytes:
    if image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.NEAREST))
