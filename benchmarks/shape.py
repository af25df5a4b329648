"""Geometry: marching tetrahedra at the size of the classic "128" grid."""

from __future__ import annotations

import statistics
import time

from maquette_backend.shape import bcc, marching_tets

from benchmarks.rows import Row

_CELLS = 51
_TARGET_SECS = 1.0
_RUNS = 7


def rows() -> list[Row]:
    """The rows of this part."""
    return [_marching_tets_forward()]


def _marching_tets_forward() -> Row:
    grid = bcc.grid(_CELLS)
    cache = marching_tets.tet_edges(grid.tets)
    sdf = grid.vertices.norm(dim=1) - 0.45
    times, faces = [], 0
    for _ in range(_RUNS):
        start = time.perf_counter()
        faces = len(marching_tets.extract(grid.vertices, sdf, grid.tets, cache)[1])
        times.append(time.perf_counter() - start)
    value = statistics.median(times)
    how = f"median of {_RUNS} extractions of a sphere ({faces:,} triangles) from {len(grid.tets):,} tetrahedra, CPU"
    return Row("shape.marching_tets_forward_s", value, "s", f"<= {_TARGET_SECS:g}", value <= _TARGET_SECS, how)
