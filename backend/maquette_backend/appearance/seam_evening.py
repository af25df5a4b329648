"""What texels learned is brought together across UV seams.

Texels on the two sides of a seam lie on one line of the surface, but each learns by itself: after some steps they differ, and
the seam shows. Here both sides meet halfway, and what that takes fades out into their islands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from maquette_backend.appearance.seam_places import seam_places, texels_at
from maquette_backend.appearance.seams import SharedEdges, bilinear, shared_edges
from maquette_backend.appearance.uv_raster import owners_under_texels

_REACH = 4.0
"""Texels over which a correction falls to 1/e (of a straight seam): about the footprint of a pixel that they learn from."""
_SWEEPS = 48
"""Of Jacobi's iteration: three reaches deep, where next to nothing is left."""
_ROUNDS = 2
"""A look-up beside a seam reads four texels, of which one is set: the second round takes most of the rest."""
_SCALARS = 5
"""Channels of base colour, roughness, metallic."""


def evened(
    change: NDArray[np.floating], positions: NDArray[np.floating], triangles: NDArray[np.integer],
    corner_uvs: NDArray[np.floating], mobile: NDArray[np.bool_] | None = None,
) -> NDArray[np.float32]:  # fmt: skip
    """``change`` [S,S,C] of a texture, row 0 at the bottom, without its steps across seams.

    ``positions`` [V,3] and ``triangles`` [F,3] name one vertex at each place; ``corner_uvs`` [F,3,2]. Channels from the sixth on
    are vectors in the frame of the UVs, which seams turn: their change fades out towards seams. Without seams: as it is.
    Where one side of a seam is ``mobile`` [S,S] and the other is not, it goes all the way.
    """
    result = change.astype(np.float32)
    edges = shared_edges(positions, triangles, corner_uvs)
    if not edges.seam.any():
        return result
    seams = _Seams(edges, corner_uvs, mobile if mobile is not None else np.ones(change.shape[:2], bool))
    for _ in range(_ROUNDS):
        result[..., :_SCALARS] += seams.spread(seams.halfway(result[..., :_SCALARS]))
    held = seams.spread(np.ones((len(seams.texel), 1), np.float32))
    result[..., _SCALARS:] *= 1 - held.clip(0, 1)
    return result


class _Seams:
    """Places along all seams of one texture [S,S], which of them are mobile, and how far what is said there is heard."""

    def __init__(self, edges: SharedEdges, corner_uvs: NDArray[np.floating], mobile: NDArray[np.bool_]) -> None:
        size = len(mobile)
        owner = owners_under_texels(corner_uvs, size)
        self.size = size
        self.places = seam_places(edges, size)
        """[2,N,2]: texture coordinates a little inside of either side"""
        texels = texels_at(self.places, size)
        at_seams, self._row = np.unique(texels.ravel(), return_inverse=True)
        one, other = mobile.ravel()[texels].astype(np.float32)
        self._way = np.concatenate([0.5 + (one - other) / 2, 0.5 + (other - one) / 2])[:, None]
        """[2N,1]: how much of the way to the other side each place goes"""
        self._band = _near(at_seams, size)
        self.texel = np.searchsorted(self._band, at_seams)
        """[K] texels at seams, as numbers of the band; ``_row`` tells of each place which one of them it is"""
        island = np.where(owner >= 0, edges.island[owner], -1).ravel()
        self._mean = _mean_of_neighbours(island, self._band, size)

    def halfway(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """[K,C]: what takes each texel at a seam to the mean of both sides, or to the side that stays."""
        values = bilinear(image, self.places.reshape(-1, 2)).reshape(2, -1, image.shape[2])
        wanted = np.concatenate([values[1] - values[0], values[0] - values[1]]) * self._way
        count = np.bincount(self._row, minlength=len(self.texel))
        summed = [np.bincount(self._row, wanted[:, channel], len(self.texel)) for channel in range(image.shape[2])]
        return (np.stack(summed, -1) / count[:, None]).astype(np.float32)

    def spread(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """[S,S,C] that is ``values`` [K,C] at the seams and fades out inside their islands (a screened Laplace equation)."""
        field = np.zeros((len(self._band), values.shape[1]), np.float32)
        for _ in range(_SWEEPS):
            field[self.texel] = values
            field = self._mean @ field
        field[self.texel] = values
        whole = np.zeros((self.size * self.size, values.shape[1]), np.float32)
        whole[self._band] = field
        return whole.reshape(self.size, self.size, -1)


def _near(texels: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """[B] those of S² texels that lie within three reaches of ``texels`` [K], which are among them; in order."""
    away = np.ones(size * size, bool)
    away[texels] = False
    distance = np.asarray(ndimage.distance_transform_edt(away.reshape(size, size)))
    return np.flatnonzero(distance.ravel() <= 3 * _REACH)


def _mean_of_neighbours(island: NDArray[np.int32], band: NDArray[np.int64], size: int) -> sparse.csr_array:
    """[B,B]: of each texel of the ``band`` [B] the mean over its neighbours on the same ``island`` [S²] (−1: none), a little
    less than that."""
    place = np.full(size * size, -1)
    place[band] = np.arange(len(band))
    one, other = [], []
    for step, inside in ((1, band % size < size - 1), (size, band < size * (size - 1))):
        here = band[inside]
        joined = (place[here + step] >= 0) & (island[here] == island[here + step]) & (island[here] >= 0)
        one.append(place[here[joined]])
        other.append(place[here[joined] + step])
    rows, columns = np.concatenate(one + other), np.concatenate(other + one)
    links = sparse.coo_array((np.ones(len(rows), np.float32), (rows, columns)), shape=(len(band),) * 2).tocsr()
    degree = np.asarray(links.sum(1)).ravel()
    return sparse.csr_array(sparse.diags_array(1 / (degree + 1 / _REACH**2)).astype(np.float32) @ links)
