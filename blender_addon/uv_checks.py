"""Whether a UV map can take a texture, face by face, and how that is said. No bpy: arrays in, a report out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import bake_checks, udim
from .refined import Floats

Bools = NDArray[np.bool_]
_ROUND = 1 << 14
"""UVs nearer than this part of the square are one place, when faces are asked whether they lie on each other exactly."""
_OVERLAP_SAMPLES = 2
"""Samples that a face must share with another: one may be rounding."""
_NO_AREA = 1e-12
_LOW_DENSITY = 0.25
"""Of the usual density: from here on a face looks blurred beside its neighbours."""


@dataclass(frozen=True)
class Faces:
    """A UV map of a mesh, triangulated."""

    corner_uvs: Floats
    """[F,3,2]"""
    areas: Floats
    """[F], of the triangles in space."""
    polygons: NDArray[np.int32]
    """[F], the face that each triangle belongs to."""
    count: int
    """Of faces."""


@dataclass(frozen=True)
class Report:
    """Which faces [P] of a mesh have what is wrong, or worth saying, about their UVs."""

    overlapping: Bools
    outside: Bools
    """Out of the square, or across the border of a UDIM tile."""
    without_area: Bools
    """In the UV map, though not in space."""
    shared: Bools
    """Mirrored onto another face exactly: meant so, and harmless."""
    flipped: Bools
    blurred: Bools
    """With less than a quarter of the usual texels per length."""
    tiles: tuple[int, ...]
    """UDIM numbers in use; one, 1001, for an ordinary map."""
    gaps: tuple[int, ...]
    """UDIM numbers between those that hold nothing."""
    texels_per_face: float
    """Of the median face."""

    @property
    def bad(self) -> Bools:
        """Faces [P] that a texture cannot be painted on as they are."""
        return self.overlapping | self.outside | self.without_area

    @property
    def is_sound(self) -> bool:
        """Whether every place of the surface has texels of its own, or shares them on purpose."""
        return not self.bad.any()


def check(faces: Faces, texture_size: int) -> Report:
    """Look at every face. ``texture_size``: side of the texture in pixels, of each tile where there are several."""
    uvs = np.nan_to_num(faces.corner_uvs.astype(np.float64), nan=-1e3, posinf=-1e3, neginf=-1e3)
    tiles, tile_of, crosses = udim.tiles_of(uvs)
    uv_areas = _areas(uvs)
    is_flat = (np.abs(uv_areas) < _NO_AREA) & (faces.areas > 0)
    shared, counted = _mirrored(uvs, uv_areas, faces)
    density = _densities(np.abs(uv_areas), faces.areas) * texture_size
    is_measured = ~is_flat & (faces.areas > 0)
    usual = _weighted_median(density[is_measured], faces.areas[is_measured])
    return Report(
        overlapping=_any(faces, _overlapping(uvs, tile_of, tiles, counted[faces.polygons])),
        outside=_any(faces, crosses),
        without_area=_all(faces, is_flat),
        shared=shared,
        flipped=_any(faces, uv_areas < -_NO_AREA),
        blurred=_all(faces, is_measured & (density < _LOW_DENSITY * usual)),
        tiles=tiles,
        gaps=udim.gaps(tiles),
        texels_per_face=_median_texels(faces, np.abs(uv_areas)) * texture_size**2,
    )


def sentences(report: Report, name: str, layer: str, texture_size: int) -> tuple[str, ...]:
    """What an artist should know, the serious first; one sentence that all is well where it is."""
    problems = [
        _counted(report.overlapping, "{} lie on other faces in the UV map", "{} lies on other faces in the UV map"),
        _counted(report.outside, "{} leave the square or cross a tile's border", "{} leaves the square or crosses a tile's border"),
        _counted(report.without_area, "{} have no area in the UV map", "{} has no area in the UV map"),
    ]
    notes = [
        _counted(report.shared, "{} share their texels with their mirror images", ""),
        _counted(report.blurred, "{} get less than a quarter of the usual texels", "{} gets less than a quarter of the usual texels"),
    ]
    if 0 < report.texels_per_face < 1:
        notes.append(f"A usual face has only {report.texels_per_face:.2g} texels at {texture_size} pixels")
    if len(report.tiles) > 1:
        notes.append(f"{len(report.tiles)} UDIM tiles, from {report.tiles[0]} to {report.tiles[-1]}")
    if report.gaps:
        notes.append(f"No UVs in {_listed(report.gaps)}, between those tiles")
    said = [f"{text}." for text in (*problems, *notes) if text]
    if report.is_sound:
        said.insert(0, f"The UV map “{layer}” of {name} is sound.")
    return tuple(said)


def _counted(faces: Bools, many: str, one: str) -> str:
    count = int(faces.sum())
    if count == 1 and one:
        return one.format("1 face")
    return many.format(f"{count:,} faces") if count else ""


def _listed(tiles: tuple[int, ...]) -> str:
    text = ", ".join(map(str, tiles[:4]))
    return text if len(tiles) <= 4 else f"{text} and {len(tiles) - 4} more"


# ---- each question --------------------------------------------------------------------------------
def _overlapping(uvs: NDArray[np.float64], tile_of: NDArray[np.int64], tiles: tuple[int, ...], counted: Bools) -> Bools:
    """Triangles [F] that share samples with others, in the same tile; only those ``counted`` [F] are looked at."""
    found = np.zeros(len(uvs), bool)
    for tile in tiles:
        chosen = np.flatnonzero(counted & (tile_of == tile))
        local = (uvs[chosen] - udim.corner(tile)).astype(np.float32)
        hits = np.zeros(bake_checks.GRID**2, np.int64)
        for _, samples in bake_checks.samples_inside(local):
            hits += np.bincount(samples, minlength=len(hits))
        if not (hits > 1).any():
            continue
        for owners, samples in bake_checks.samples_inside(local):
            doubled = np.bincount(owners[hits[samples] > 1], minlength=len(chosen))
            found[chosen[doubled >= _OVERLAP_SAMPLES]] = True
    return found


def _mirrored(uvs: NDArray[np.float64], uv_areas: NDArray[np.float64], faces: Faces) -> tuple[Bools, Bools]:
    """Faces [P] that are mirrored onto others exactly, and those [P] that count when overlaps are looked for.

    Mirrored are as many face up as face down; copies that are stacked are not meant here: they would get one picture.
    By faces and not by triangles: of two mirrored quads each may be cut along its own diagonal.
    """
    places = np.round(uvs * _ROUND).astype(np.int64).reshape(-1, 2)
    polygons = np.repeat(faces.polygons.astype(np.int64), 3)
    # each corner of a face once, however many of its triangles have it
    _, once = np.unique(_mixed(places, polygons), return_index=True)
    keys = np.zeros(faces.count, np.uint64)
    np.add.at(keys, polygons[once], _mixed(places[once], np.zeros(len(once), np.int64)))  # a sum: any order will do
    _, first, which = np.unique(keys, return_index=True, return_inverse=True)
    up = np.sign(np.bincount(faces.polygons, weights=uv_areas, minlength=faces.count))
    is_mirrored = (np.bincount(which.ravel(), weights=up) == 0)[which.ravel()] & (up != 0)
    counts = ~is_mirrored
    counts[first] = True
    return is_mirrored, counts


def _mixed(places: NDArray[np.int64], seeds: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A well-mixed number for each place [N,2] and seed [N] (the finaliser of SplitMix64, Steele et al. 2014)."""
    value = seeds.astype(np.uint64)
    for part in (places[:, 0], places[:, 1]):
        value = value + part.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value = value ^ (value >> np.uint64(31))
    return value


def _areas(uvs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed [F]: below 0 where the UV map shows a triangle's back."""
    one, two = uvs[:, 1] - uvs[:, 0], uvs[:, 2] - uvs[:, 0]
    return (one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]) / 2


def _densities(uv_areas: NDArray[np.float64], areas: Floats) -> NDArray[np.float64]:
    """Squares per length [F]: how many times the UV square's side fits into a length of 1."""
    return np.sqrt(uv_areas / np.maximum(areas.astype(np.float64), 1e-30))


def _weighted_median(values: NDArray[np.float64], weights: Floats) -> float:
    if not len(values):
        return 0.0
    order = np.argsort(values)
    total = np.cumsum(weights[order].astype(np.float64))
    return float(values[order[np.searchsorted(total, total[-1] / 2)]])


def _median_texels(faces: Faces, uv_areas: NDArray[np.float64]) -> float:
    """In squares."""
    of_faces = np.bincount(faces.polygons, weights=uv_areas, minlength=faces.count)
    return float(np.median(of_faces)) if faces.count else 0.0


def _any(faces: Faces, triangles: Bools) -> Bools:
    return np.bincount(faces.polygons[triangles], minlength=faces.count) > 0


def _all(faces: Faces, triangles: Bools) -> Bools:
    total = np.bincount(faces.polygons, minlength=faces.count)
    return (total > 0) & (np.bincount(faces.polygons[triangles], minlength=faces.count) == total)
