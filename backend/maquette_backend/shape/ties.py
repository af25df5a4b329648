"""Locks as ties between vertices: a tied vertex's offset is its group's, but for the signs of its coordinates.

Symmetry, a floor, and vertices that share a place are all of this one kind, so they combine, and hold to the last bit:
equal numbers but for a sign are exact in any precision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .mirror import NONE, TOLERANCE, mirror_partners
from .places import first_at_each_place

Points = NDArray[np.floating]


@dataclass(frozen=True)
class Ties:
    """``offset[v] = sign[v] * value[group[v]]``, where ``value`` is 0 in a coordinate that is not free. Object space."""

    group: NDArray[np.int64]
    """[V], numbered from 0 without gaps."""
    sign: NDArray[np.float32]
    """[V,3], +1 or −1; the first vertex of each group has +1."""
    free: NDArray[np.bool_]
    """[G,3]."""
    lowest: NDArray[np.float32]
    """[G]: how far down a group's value may go in z, at most 0; −inf for no floor."""
    highest: NDArray[np.float32]
    """[G]: how far up, for groups that have vertices with z turned over; inf for none."""


def tie(
    positions: Points,
    used: NDArray[np.bool_],
    partners: Sequence[tuple[int, NDArray[np.int64]]] = (),
    flat_bottom: bool = False,
) -> Ties:
    """The ties of ``positions`` [V,3], of which those not ``used`` [V] by a face are tied to nothing.

    Used vertices at one place are tied to each other. ``partners`` are (axis, ``mirror_partners`` of ``positions``).
    ``flat_bottom`` holds the lowest used vertices' z and lets no other sink below it.
    """
    links = [(first, None) for first in (_first_at_the_same_place(positions, used),)]
    links += [(np.where(used, partner, NONE), axis) for axis, partner in partners]
    group, sign = _spread(len(positions), links)
    count = int(group.max(initial=-1)) + 1
    free = np.ones((count, 3), bool)
    for partner, axis in links:
        has = np.flatnonzero(partner != NONE)
        differs = sign[partner[has]] != sign[has] * _mirror(axis)
        for coordinate in range(3):  # two ways to one vertex that disagree leave it nowhere to go, as on the plane
            free[group[has[differs[:, coordinate]]], coordinate] = False
    lowest, highest = np.full(count, -np.inf), np.full(count, np.inf)
    if flat_bottom:
        height = positions[:, 2].astype(np.float64)
        floor = height[used].min()
        resting = used & (height <= floor + TOLERANCE * longest_side(positions, used))
        free[group[resting], 2] = False
        room = np.maximum(height - floor, 0)
        upright = used & (sign[:, 2] > 0)
        turned = used & (sign[:, 2] < 0)
        np.maximum.at(lowest, group[upright], -room[upright])
        np.minimum.at(highest, group[turned], room[turned])
    return Ties(group, sign, free, lowest.astype(np.float32), highest.astype(np.float32))


def partners_of_used(positions: Points, used: NDArray[np.bool_], axis: int) -> NDArray[np.int64]:
    """``mirror_partners`` [V] among the used vertices, one for each place; −1 for the others."""
    first = _first_at_the_same_place(positions, used)
    chosen = np.flatnonzero(first == np.arange(len(positions)))
    found = mirror_partners(positions[chosen], axis, TOLERANCE * longest_side(positions, used))
    partners = np.full(len(positions), NONE)
    partners[chosen] = np.where(found == NONE, NONE, chosen[found])
    return partners


def smallest_of_group(values: NDArray[np.float32], ties: Ties) -> NDArray[np.float32]:
    """[V] → [V]: each vertex gets the least value of those it is tied to."""
    least = np.full(len(ties.free), np.inf, np.float32)
    np.minimum.at(least, ties.group, values)
    return least[ties.group]


def longest_side(positions: Points, used: NDArray[np.bool_]) -> float:
    """Of the used vertices' bounds."""
    return float(np.ptp(positions[used].astype(np.float64), axis=0).max())


def _first_at_the_same_place(positions: Points, used: NDArray[np.bool_]) -> NDArray[np.int64]:
    """[V]: the first used vertex at each used vertex's position; −1 for the others."""
    places = np.flatnonzero(used)
    result = np.full(len(positions), NONE)
    result[places] = places[first_at_each_place(positions[places])]
    return result


def _spread(
    count: int, links: Sequence[tuple[NDArray[np.int64], int | None]]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Groups [V] that hang together by ``links``, and each vertex's signs [V,3] against its group's first."""
    root = np.arange(count)
    sign = np.ones((count, 3), np.float32)
    changed = True
    while changed:  # orbits of three mirrors are short: a few rounds
        changed = False
        for partner, axis in links:
            has = np.flatnonzero(partner != NONE)
            for source, target in ((has, partner[has]), (partner[has], has)):
                nearer = root[source] < root[target]
                source, target = source[nearer], target[nearer]
                root[target] = root[source]
                sign[target] = sign[source] * _mirror(axis)
                changed = changed or bool(len(target))
    return np.unique(root, return_inverse=True)[1].reshape(-1).astype(np.int64), sign


def _mirror(axis: int | None) -> NDArray[np.float32]:
    """[3]."""
    result = np.ones(3, np.float32)
    if axis is not None:
        result[axis] = -1
    return result
