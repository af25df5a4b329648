"""What an artist allows a subject's vertices to do: mask, locks and sharp edges, read and checked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Subject
from numpy.typing import NDArray

from maquette_backend.refine.events import ArrayReader
from maquette_backend.shape.mirror import NONE
from maquette_backend.shape.ties import Ties, partners_of_used, smallest_of_group, tie

LEAST_SYMMETRIC = 0.5
"""A mesh of whose vertices fewer than this share have a mirror image is not meant to be symmetric there."""
HELD = 100.0
"""``stay_close`` 1 holds the surface this many times as strongly as ½ does, and 0 as many times more weakly."""


@dataclass(frozen=True)
class Controls:
    """Per vertex of the mesh that was sent; planes and positions of object space."""

    ties: Ties
    share: NDArray[np.float32]
    """[V] of the strength; 0 stays in place. Vertices that belong to no face have 0, tied ones the same."""
    sharp_edges: NDArray[np.int32]
    """[E,2], vertices."""


def read_controls(
    subject: Subject, positions: NDArray[np.float32], triangles: NDArray[np.int32], read: ArrayReader
) -> Controls:
    """The controls of ``subject``, whose mesh is checked already.

    Raises MaquetteError INVALID_RECIPE or BAD_INDEX, naming the object, what is wrong with it and the remedy.
    """
    mask = None if subject.mask is None else np.asarray(read(subject.mask))
    sharp = None if subject.sharp_edges is None else np.asarray(read(subject.sharp_edges))
    share = _checked_mask(subject.name, mask, len(positions))
    edges = _checked_edges(subject.name, sharp, len(positions))
    moves = subject.mode != "texture_only" and subject.strength > 0
    return controls_of(subject, positions, triangles, share, edges) if moves else _free(positions, share, edges)


def controls_of(
    subject: Subject,
    positions: NDArray[np.float32],
    triangles: NDArray[np.int32],
    mask: NDArray[np.float32],
    sharp_edges: NDArray[np.int32],
) -> Controls:
    """Locks tied, the mask brought into line with them."""
    used: NDArray[np.bool_] = np.zeros(len(positions), bool)
    used[triangles.reshape(-1)] = True
    share = np.where(used, mask, np.float32(0))
    if not share.any():
        raise _invalid(
            f"The mask of “{subject.name}” is 0 at all of its {int(used.sum()):,} vertices: nothing may move.",
            "Give the mask a weight above 0 somewhere, take it away, or choose Texture Only.",
        )
    locks = subject.locks
    axes = [axis for axis, on in enumerate((locks.symmetry_x, locks.symmetry_y, locks.symmetry_z)) if on]
    partners = [(axis, _partners(subject.name, positions, used, axis)) for axis in axes]
    ties = tie(positions, used, partners, locks.flat_bottom)
    share = smallest_of_group(share, ties)
    if not (share[:, None] * ties.free[ties.group]).any():
        raise _invalid(
            f"The mask and the locks of “{subject.name}” together leave no vertex that may move.",
            "Where symmetry is locked, mask both halves alike; or take one of the locks away.",
        )
    return Controls(ties, share, sharp_edges)


def anchor_factor(stay_close: float) -> float:
    """What the weights that hold the surface where it was are multiplied by; 1 at ½."""
    return HELD ** (2 * stay_close - 1)


def _partners(
    name: str, positions: NDArray[np.float32], used: NDArray[np.bool_], axis: int
) -> NDArray[np.int64]:
    partners = partners_of_used(positions, used, axis)
    places = len(np.unique(positions[used], axis=0))
    found = float((partners != NONE).sum() / places)
    if found < LEAST_SYMMETRIC:
        letter = "XYZ"[axis]
        raise _invalid(
            f"“{name}” is locked to be symmetric in {letter}, but only {found:.0%} of its vertices have a mirror image"
            f" across the plane {letter.lower()} = 0 of its own space.",
            f"Unlock Symmetry {letter}, move the object's origin into its middle, or make the mesh symmetric (Mesh ▸ Symmetrize).",
        )
    return partners


def _free(positions: NDArray[np.float32], share: NDArray[np.float32], edges: NDArray[np.int32]) -> Controls:
    """For a mesh that will not be moved: nothing is looked for."""
    return Controls(tie(positions, np.zeros(len(positions), bool)), share, edges)


def _checked_mask(name: str, mask: NDArray[np.generic] | None, count: int) -> NDArray[np.float32]:
    if mask is None:
        return np.ones(count, np.float32)
    if mask.shape != (count,):
        raise _invalid(
            f"The mask of “{name}” has the shape {mask.shape}, its mesh {count:,} vertices.",
            "Send one number for each vertex.",
        )
    values = mask.astype(np.float32)
    bad = ~((values >= 0) & (values <= 1))  # not a number is neither
    if bad.any():
        index = int(np.argmax(bad))
        raise _invalid(
            f"The mask of “{name}” is {float(values[index]):g} at vertex {index}, and out of range at"
            f" {int(bad.sum()):,} vertices; it should be from 0 to 1.",
            "Clean or normalise the vertex group or attribute that it comes from.",
        )
    return values


def _checked_edges(name: str, edges: NDArray[np.generic] | None, count: int) -> NDArray[np.int32]:
    if edges is None:
        return np.zeros((0, 2), np.int32)
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise _invalid(f"The sharp edges of “{name}” have the shape {edges.shape}.", "Send two vertices for each edge.")
    indices = edges.astype(np.int64)
    bad = ((indices < 0) | (indices >= count)).any(axis=1)
    if bad.any():
        index = int(np.argmax(bad))
        one, two = indices[index]
        raise MaquetteError(
            ErrorCode.BAD_INDEX,
            f"“{name}”: sharp edge {index} joins vertices {one} and {two}, of {count:,}.",
            "Run Mesh ▸ Clean Up, or check the mesh with validate().",
        )
    return indices.astype(np.int32)


def _invalid(message: str, remedy: str) -> MaquetteError:
    return MaquetteError(ErrorCode.INVALID_RECIPE, message, remedy)
