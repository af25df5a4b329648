"""From a moved DMTet body to a clean mesh: closed, manifold, within its budget, none of the start's parts lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import KDTree

from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.shape.clean import is_closed, keep_parts, remove_degenerate, simplify_parts
from maquette_backend.shape.crease_sides import Sides, sides_of
from maquette_backend.shape.creases import creased
from maquette_backend.shape.evening import evened_places, evened_values
from maquette_backend.shape.manifold import is_edge_manifold, manifold
from maquette_backend.shape.reach import Reach, between, within
from maquette_backend.shape.sdf import Solid, Tree, nearest_points, solid_of
from maquette_backend.shape.sided import Sided
from maquette_backend.shape.slivers import without_slivers
from maquette_backend.shape.start_parts import start_parts
from maquette_backend.shape.symmetrise import is_mirrored, symmetrised

FACE_BUDGET = 16_000
"""Triangles of a remeshed subject that has no budget of its own: fine enough for a 64-class grid, few enough to unwrap
in seconds."""
_LEAST_HEIGHT = 1e-5
"""Of a delivered triangle, in units of the longest side."""
_SLIVER = 0.03
"""A triangle lower than this many cells says nothing, and beside an edge may face anywhere."""
SOLE = 0.25
"""What ends up less than this share of a grid's cell above a locked floor stands on it."""
MEANT = 5e-3
"""A start this near to its own mirror image, in units of the longest side, is meant to be symmetric."""
_TRIES = 4
_TOLERATED = 4e-3
"""What the inside of a triangle may be past the bound, in units of the longest side, before edges are given up there."""
_WITHOUT_EDGES = (0.0, 3.0, np.inf)
"""So many cells around such places there are no edges, in one try after the other: at a wild surface at the end of its
reach they are not worth what they add to it."""
_WILD = 10 * _TOLERATED
"""Where something is as far past the bound, all edges are given up at once."""
_AT_THE_START = 0.05
"""So near to the start's surface, in cells, the way to it says nothing."""
_LOST_PART_CLASS = 48
"""The grid on which a part that came to nothing is found again, by itself."""

_NONE_MARKED: NDArray[np.int32] = np.zeros((0, 2), np.int32)

Points = NDArray[np.float64]
Positions = NDArray[np.floating]
Triangles = NDArray[np.integer]


def delivered(
    body: RemeshBody, start: Mesh, triangle_budget: int, sharp_edges: NDArray[np.integer] = _NONE_MARKED
) -> Mesh:
    """What the artist gets of ``body``, which began as ``start``: at most ``triangle_budget`` triangles (0: FACE_BUDGET),
    no point farther from the start than the bound, and its own mirror image where that is locked and the start is.
    ``sharp_edges`` [E,2] of the start's vertices stay sharp."""
    sides = sides_of(start.positions, start.triangles, sharp_edges)
    body.finest()
    reach = reach_of(body, start)
    spacing = body.grid.grid.spacing
    too_far, found, worst = np.zeros((0, 3)), start, 0.0
    for gap in _WITHOUT_EDGES:
        if worst > _WILD and gap < np.inf:
            continue
        edged = with_edges(body, sides, _far_from(too_far, gap * spacing))
        found = _finished(edged, body, start, triangle_budget, reach)
        places, excess = between(found.positions.astype(np.float64), found.triangles, reach)
        worst = excess.max(initial=0.0)
        if worst <= _TOLERATED:
            break
        too_far = np.concatenate([too_far, places[excess > _TOLERATED]])
    return found


def _far_from(places: Points, gap: float) -> Callable[[Points], NDArray[np.bool_]]:
    """Which points [P,3] are farther than ``gap`` from all of ``places`` [N,3]."""
    if len(places) == 0:
        return lambda points: np.ones(len(points), bool)
    tree = KDTree(places)
    return lambda points: tree.query(points)[0] > gap


def _finished(edged: Sided, body: RemeshBody, start: Mesh, triangle_budget: int, reach: Reach) -> Mesh:
    spacing = body.grid.grid.spacing
    positions, triangles = without_slivers(*evened(edged, body.solid, spacing), _SLIVER * spacing)
    positions, triangles = with_every_part(*sound(positions, triangles), start)
    mirrors = tuple(each for each in body.controls.mirrors if is_mirrored(start.positions, start.triangles, each, MEANT))
    budget = triangle_budget or FACE_BUDGET
    positions, triangles = simplified(positions, triangles, budget, mirrors)
    positions, triangles = without_slivers(positions, triangles, _LEAST_HEIGHT)
    positions = body.controls.standing(positions, SOLE * spacing)
    positions = within(positions, triangles, reach, body.controls.rooted)
    positions, triangles = without_slivers(positions, triangles, _LEAST_HEIGHT)
    if mirrors:
        positions, triangles = sound(*symmetrised(positions, triangles, mirrors, reach.on_both_sides(mirrors)))
    return Mesh(positions.astype(np.float32), triangles.astype(np.int32))


def with_edges(body: RemeshBody, sides: Sides, allowed: Callable[[Points], NDArray[np.bool_]]) -> Sided:
    """The moved surface without degenerate triangles, with vertices along the edges between the start's ``sides``,
    where they are ``allowed``."""
    raw, faces, came_from = body.delivered()
    positions, triangles = sound(raw, faces)
    if len(triangles) == 0:
        return Sided(positions.astype(np.float64), triangles.astype(np.int64), np.zeros(0, np.int64), np.zeros(0))
    same = KDTree(raw).query(positions)[1]  # tidying moves no vertex
    return creased(positions, triangles, came_from[same], sides, body.grid.grid.spacing, allowed)


def simplified(
    positions: Positions, triangles: Triangles, budget: int, mirrors: Sequence[NDArray[np.float64]]
) -> tuple[Positions, Triangles]:
    """At most about ``budget`` triangles, and of those that are symmetric no more either: a cut makes new ones."""
    if not mirrors:
        return simplify_parts(positions, triangles, budget)
    target, found = budget, (positions, triangles)
    for _ in range(_TRIES):
        found = sound(*symmetrised(*simplify_parts(positions, triangles, target), mirrors))
        if len(found[1]) <= budget:
            break
        target = max(4, target - 2 * (len(found[1]) - budget))
    return found


def reach_of(body: RemeshBody, start: Mesh) -> Reach:
    """How far ``body``'s surface may be from ``start``: the strength's bound, times the mask's share."""
    controls, bound = body.controls, body.settings.bound
    solid = body.solid if controls.floor is None else solid_of(start.positions, start.triangles)
    closing = body.unmoved() if solid.is_open else (start.positions, start.triangles[:0])

    def limit(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return bound * controls.share(torch.from_numpy(points)).numpy()

    everything = Tree(start.positions, start.triangles)
    return Reach(everything, solid.sheets, solid.half_sheet, Tree(*closing), limit, controls.masked is None)


def sound(positions: Positions, triangles: Triangles) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """An extracted surface without degenerate triangles, every edge between exactly two."""
    return without_slivers(*manifold(*remove_degenerate(positions, triangles)))


def evened(edged: Sided, solid: Solid, spacing: float) -> tuple[NDArray[np.float64], Triangles]:
    """Positions [V,3] evened along the surface, after which each vertex goes to where it was from the start's surface,
    itself evened, so that no motion is lost but what is as short as a cell. Beside an edge the start's nearest surface may
    be another side's, of another level: there none goes anywhere."""
    if len(edged.triangles) == 0:
        return edged.positions, edged.triangles
    before, facing = solid.to_surface(edged.positions)
    level = evened_values(edged, before)
    smooth = evened_places(edged)
    distance, outward = solid.to_surface(smooth)
    wrong = distance - level
    same_way = ((outward * facing).sum(axis=1) > 0.5) | (np.abs(before) < _AT_THE_START * spacing)
    back = np.where((np.abs(wrong) < spacing) & same_way, edged.inside * wrong, 0.0)
    return smooth - back[:, None] * outward, edged.triangles


def with_every_part(
    positions: Positions, triangles: Triangles, start: Mesh
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Without floaters, and with every part of the start that can be told apart: one that came to nothing, as when it
    lies inside another, comes back as it was."""
    own = start_parts(start.positions, start.triangles)
    owner = np.zeros(len(positions), np.int64)
    if len(positions):
        nearest = nearest_points(positions.astype(np.float64), own.vertices, own.triangles)[1]
        owner = own.part[nearest]
    pieces = [keep_parts(positions, triangles, owner)]
    for part in np.setdiff1d(np.arange(own.count), owner):
        lost = own.alone(int(part))
        if lost is not None:
            pieces.append(_closed(*lost))
    first = np.cumsum([0, *[len(vertices) for vertices, _ in pieces]])
    joined = [faces + shift for (_, faces), shift in zip(pieces, first[:-1], strict=True)]
    return np.concatenate([vertices for vertices, _ in pieces]), np.concatenate(joined).astype(np.int32)


def _closed(positions: Positions, triangles: Triangles) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """A lone part as it is where it is closed, else what it encloses."""
    if is_closed(triangles) and is_edge_manifold(triangles):
        return without_slivers(positions.astype(np.float32), triangles.astype(np.int32))
    low, high = positions.min(axis=0), positions.max(axis=0)
    size, center = float((high - low).max()), (low + high) / 2
    unit = ((positions - center) / size).astype(np.float32)
    body = RemeshBody(unit, triangles.astype(np.int32), RemeshSettings(_LOST_PART_CLASS, 1e-3), torch.device("cpu"))
    found, faces = sound(*body.delivered()[:2])
    return (found * size + center).astype(np.float32), faces


__all__ = ["FACE_BUDGET", "delivered", "evened", "sound", "with_edges", "with_every_part"]
