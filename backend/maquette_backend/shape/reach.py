"""How far from the surface it began as a new surface may be, at its vertices and between them, and its way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .field_controls import FieldControls
from .sdf import Tree
from .symmetrise import reflected

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]

BETWEEN = 5e-4
"""What the inside of a triangle may be past the limit, in the mesh's unit, before its corners are moved for it."""
_ROUNDS, _PATIENCE = 16, 4
_COARSE, _FINE = 0.02, 0.004
"""How closely a triangle's inside is looked at, in the mesh's unit: first everywhere, then where it may be too far."""
_FEWEST, _MOST = 2, 64
"""Into so many parts a triangle's side is divided for that."""
_TURNED = 0.3
"""Least cosine between a triangle's normals before and after one round."""


@dataclass(frozen=True)
class Reach:
    """A start surface, and the farthest that a new one may be from it."""

    everything: Tree
    """The start's triangles, hidden ones too: near those is near enough."""
    sheets: Tree
    """What of them encloses nothing and is a plate ``half_sheet`` thick on either side."""
    half_sheet: float
    closing: Tree
    """A surface that closes what was open, where it was."""
    limit: Callable[[Points], Points]
    """[P] ≥ 0 of places [P,3]: that of the start's nearest point."""
    is_even: bool
    """Whether the limit is the same everywhere."""

    def excess(self, points: Points) -> tuple[Points, Points]:
        """By how much points [P,3] are too far away, [P], negative where they are not; and the unit way back, [P,3]."""
        limit = self.limit(points)
        away, place = self.everything.nearest(points)
        back = _unit(place - points)
        for tree, half in ((self.sheets, self.half_sheet), (self.closing, 0.0)):
            far = np.flatnonzero(away > limit)
            gap, place = tree.nearest(np.ascontiguousarray(points[far]))
            nearer = np.abs(gap - half) < away[far]
            mine = far[nearer]
            away[mine] = np.abs(gap - half)[nearer]
            back[mine] = np.sign(gap - half)[nearer, None] * _unit(place[nearer] - points[mine])
        return away - limit, back

    def clamped(self, points: Points) -> Points:
        """Points [P,3], each within its limit: straight back to the nearest point of the start."""
        too_far, back = self.excess(points)
        return points + np.maximum(too_far, 0)[:, None] * back

    def on_both_sides(self, mirrors: Sequence[NDArray[np.float64]]) -> Callable[[Points], Points]:
        """What clamps points [P,3] so that their images under ``mirrors`` are within the limit as well, though the start
        be a little askew."""
        images = FieldControls(tuple(mirrors)).images()

        def settle(points: Points) -> Points:
            for _ in range(3):
                for image in images:  # its own inverse
                    points = reflected(self.clamped(reflected(points, image)), image)
            return points

        return settle


def within(
    positions: NDArray[np.floating],
    triangles: NDArray[np.integer],
    reach: Reach,
    along: Callable[[Points, Points], Points] = lambda _, motion: motion,
) -> Points:
    """Positions [V,3] of the surface with every vertex within ``reach``, and the triangles' inside nearly so.

    Corners of a triangle whose inside is too far away (one that bridges a dent, or cuts a corner) are moved by the least
    that takes it back, unless that turns a triangle over. ``along`` (positions, motion [V,3]) says what of a motion is
    allowed where.
    """
    faces = triangles.astype(np.int64)
    placed = reach.clamped(positions.astype(np.float64))
    open_faces = _suspect(placed, faces, reach)
    counts: list[int] = []
    while len(counts) < _ROUNDS:
        motion, open_faces = _pull(placed, faces, open_faces, reach)
        counts.append(len(open_faces))
        if len(open_faces) == 0 or (len(counts) > _PATIENCE and counts[-1] > 0.95 * counts[-1 - _PATIENCE]):
            break
        moved = reach.clamped(placed + along(placed, motion))
        moved = _unturned(placed, moved, faces)
        changed = (moved != placed).any(axis=1)
        touched = changed[faces].any(axis=1)
        touched[open_faces] = True
        placed, open_faces = moved, np.flatnonzero(touched)
    return reach.clamped(placed)


def between(positions: Points, triangles: NDArray[np.integer], reach: Reach) -> tuple[Points, Points]:
    """Places [P,3] inside triangles that may be past the limit, and by how much each is, [P]; negative where it is not."""
    faces = triangles.astype(np.int64)
    owner, _, too_far, _ = _looked_at(positions, faces, _suspect(positions, faces, reach), reach, _COARSE)
    near = _near(positions, faces, owner, too_far, reach)
    owner, weights, too_far, _ = _looked_at(positions, faces, near, reach, _FINE)
    return np.einsum("pk,pkx->px", weights, positions[faces[owner]]), too_far


def _suspect(placed: Points, faces: Triangles, reach: Reach) -> NDArray[np.int64]:
    """Triangles [N] whose inside may be too far away: no point of one is farther from the start than its corners by more
    than it is from them."""
    room = -reach.excess(placed)[0][faces].max(axis=1)
    held = (reach.limit(placed)[faces] == 0).all(axis=1)  # on the start already, as nearly as triangles can be
    return np.flatnonzero((_longest(placed[faces]) / np.sqrt(3) > room) & ~held)


def _pull(placed: Points, faces: Triangles, chosen: NDArray[np.int64], reach: Reach) -> tuple[Points, NDArray[np.int64]]:
    """The motion [V,3] that takes the inside of the ``chosen`` triangles back, and those of them that need it."""
    owner, weights, too_far, back = _looked_at(placed, faces, chosen, reach, _COARSE)
    near = _near(placed, faces, owner, too_far, reach)
    owner, weights, too_far, back = _looked_at(placed, faces, near, reach, _FINE)
    bad = too_far > BETWEEN
    owner, weights, too_far, back = owner[bad], weights[bad], too_far[bad], back[bad]
    # least squares: corners move by their share, so that the point itself moves by its excess
    share = weights / (weights**2).sum(axis=1, keepdims=True)
    urgency = weights * too_far[:, None]
    total, count = np.zeros_like(placed), np.zeros(len(placed))
    for corner in range(3):
        vertex = faces[owner, corner]
        np.add.at(total, vertex, (urgency[:, corner] * share[:, corner] * too_far)[:, None] * back)
        np.add.at(count, vertex, urgency[:, corner])
    return total / np.maximum(count, 1e-300)[:, None], np.unique(owner)


def _near(
    placed: Points, faces: Triangles, owner: NDArray[np.int64], too_far: Points, reach: Reach
) -> NDArray[np.int64]:
    """Triangles [N] that may be too far away between the points [P] at which they were looked at coarsely: where the limit
    is the same everywhere, every point is within a part's side of one of these and no excess changes faster."""
    apart = np.full(len(owner), _COARSE)
    if reach.is_even:
        longest = _longest(placed[faces[owner]])
        apart = longest / _parts(longest, _COARSE)
    return np.unique(owner[too_far > BETWEEN - apart])


def _parts(longest: Points, step: float) -> NDArray[np.int64]:
    """Into how many parts [N] triangles' sides are divided, none of them longer than ``step``."""
    return np.clip(np.ceil(longest / step), _FEWEST, _MOST).astype(np.int64)


def _longest(corners: Points) -> Points:
    """The longest side [N] of triangles [N,3,3]."""
    return np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(axis=1)


def _looked_at(
    placed: Points, faces: Triangles, chosen: NDArray[np.int64], reach: Reach, step: float
) -> tuple[NDArray[np.int64], Points, Points, Points]:
    """Points ``step`` apart inside and on the sides of triangles: which one each is of [P], its weights [P,3], its excess
    [P] and its way back [P,3]."""
    parts = _parts(_longest(placed[faces[chosen]]), step)
    owners, weights = [np.zeros(0, np.int64)], [np.zeros((0, 3))]
    for number in np.unique(parts).tolist():
        lattice = np.array([(i, j, number - i - j) for i in range(number + 1) for j in range(number + 1 - i)]) / number
        lattice = lattice[lattice.max(axis=1) < 1]
        mine = chosen[parts == number]
        owners.append(np.repeat(mine, len(lattice)))
        weights.append(np.tile(lattice, (len(mine), 1)))
    owner, weight = np.concatenate(owners), np.concatenate(weights)
    return owner, weight, *reach.excess(np.einsum("pk,pkx->px", weight, placed[faces[owner]]))


def _unturned(placed: Points, moved: Points, faces: Triangles) -> Points:
    """``moved``, but as ``placed`` at the corners of triangles that the motion would fold."""
    before = _normals(placed, faces)
    for _ in range(4):
        after = _normals(moved, faces)
        lengths = np.linalg.norm(before, axis=1) * np.linalg.norm(after, axis=1)
        folded = (before * after).sum(axis=1) < _TURNED * lengths
        if not folded.any():
            break
        moved = moved.copy()
        moved[faces[folded]] = placed[faces[folded]]
    return moved


def _unit(vectors: Points) -> Points:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)[:, None]


def _normals(positions: Points, faces: Triangles) -> Points:
    a, b, c = np.moveaxis(positions[faces], 1, 0)
    return np.cross(b - a, c - a)
