"""What a mesh must be before work is spent on it: both sides check with these."""

from __future__ import annotations

import numpy as np

from . import limits
from .arrays import Array
from .errors import ErrorCode, MaquetteError


def check_mesh(name: str, positions: Array, triangles: Array) -> None:
    """Raise a ``MaquetteError`` that names the object, the value and the remedy, unless all is well.

    Args:
        name: the object's name, for messages.
        positions: float [vertices, 3], metres.
        triangles: integer [triangles, 3].

    Raises:
        MaquetteError: ``empty_mesh``, ``no_faces``, ``too_many_triangles``, ``not_finite``, ``bad_index``, ``zero_size``.
    """
    _check_counts(name, positions, triangles)
    _check_finite(name, positions)
    _check_indices(name, positions, triangles)
    _check_size(name, positions, triangles)


def _check_counts(name: str, positions: Array, triangles: Array) -> None:
    if len(positions) == 0:
        raise MaquetteError(ErrorCode.EMPTY_MESH, f"“{name}” has no vertices.", "Give it a mesh, or untick it.")
    if len(triangles) == 0:
        raise MaquetteError(
            ErrorCode.NO_FACES, f"“{name}” has {len(positions)} vertices but no faces.", "Add faces, or untick it."
        )
    if positions.shape[1:] != (3,) or triangles.shape[1:] != (3,):
        raise MaquetteError(
            ErrorCode.BAD_INDEX,
            f"“{name}”: positions {positions.shape} and triangles {triangles.shape} should be [n, 3].",
            "Send three numbers a vertex and three vertices a triangle.",
        )
    if len(triangles) > limits.MAX_TRIANGLES or len(positions) > limits.MAX_VERTICES:
        raise MaquetteError(
            ErrorCode.TOO_MANY_TRIANGLES,
            f"“{name}” has {len(triangles):,} triangles and {len(positions):,} vertices;"
            f" the limits are {limits.MAX_TRIANGLES:,} and {limits.MAX_VERTICES:,}.",
            "Reduce it, for example with a Decimate modifier.",
        )


def _check_finite(name: str, positions: Array) -> None:
    finite = np.isfinite(positions.astype(np.float64)).all(axis=1)
    if not finite.all():
        index = int(np.argmin(finite))
        raise MaquetteError(
            ErrorCode.NOT_FINITE,
            f"“{name}”: vertex {index} is at {_point(positions[index])}; {int((~finite).sum())} vertices are like that.",
            "Delete those vertices, or undo what moved them there.",
        )


def _check_indices(name: str, positions: Array, triangles: Array) -> None:
    if triangles.dtype.kind not in "iu":
        raise MaquetteError(
            ErrorCode.BAD_INDEX, f"“{name}”: triangles are {triangles.dtype}, not integers.", "Send vertex indices."
        )
    indices = triangles.astype(np.int64)
    bad = ((indices < 0) | (indices >= len(positions))).any(axis=1)
    if bad.any():
        index = int(np.argmax(bad))
        corners = ", ".join(str(corner) for corner in indices[index])
        raise MaquetteError(
            ErrorCode.BAD_INDEX,
            f"“{name}”: triangle {index} names vertices {corners}, of {len(positions)}.",
            "Run Mesh ▸ Clean Up, or check the mesh with validate().",
        )


def _check_size(name: str, positions: Array, triangles: Array) -> None:
    """Size is that of the faces: loose vertices do not count."""
    used = positions[np.unique(triangles.astype(np.int64))].astype(np.float64)
    sides = used.max(axis=0) - used.min(axis=0)
    if not _is_size(float(sides.max())):
        raise MaquetteError(
            ErrorCode.ZERO_SIZE,
            f"“{name}” measures {_point(sides)} m: its faces lie in one point, or beyond what can be computed.",
            "Scale it up or down, or untick it.",
        )


def _is_size(longest: float) -> bool:
    """Longest side in metres that float32 can carry through a fit into the unit cube and back."""
    return 1e-9 < longest < 1e9


def _point(values: Array) -> str:
    return "(" + ", ".join(f"{float(value):g}" for value in values) + ")"
