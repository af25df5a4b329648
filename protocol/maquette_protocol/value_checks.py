"""Checks of single values of a recipe; each error names the thing, the value and the remedy."""

from __future__ import annotations

import numpy as np

from . import limits
from .arrays import ref_size
from .blobs import check_size
from .errors import ErrorCode, MaquetteError, ProtocolError
from .recipe import ArrayRef, Matrix4


def invalid(message: str, remedy: str) -> MaquetteError:
    """The error of a value that is out of bounds; ``remedy`` says what to do."""
    return MaquetteError(ErrorCode.INVALID_RECIPE, message, remedy)


def check_range(what: str, value: float, low: float, high: float) -> None:
    """Raise ``invalid_recipe`` unless ``low`` ≤ ``value`` ≤ ``high``; not a number is out of any range."""
    if not low <= value <= high:
        raise invalid(f"{what} is {value:g}.", f"Choose a value from {low:g} to {high:g}.")


def check_name(name: str) -> None:
    """Raise ``invalid_recipe`` where an object's name is too long."""
    if len(name) > limits.MAX_NAME_CHARS:
        raise invalid(f"A name has {len(name)} characters; the limit is {limits.MAX_NAME_CHARS}.", "Shorten it.")


def check_matrix(name: str, matrix: Matrix4) -> None:
    """Affine, finite and invertible. Judged by its own scale, so that millimetres are as good as metres."""
    values = np.array(matrix, dtype=np.float64).reshape(4, 4)
    if not np.isfinite(values).all() or not np.array_equal(values[3], (0, 0, 0, 1)):
        raise invalid(f"The transform of “{name}” is not an affine matrix of finite numbers.", "Reset its transform.")
    stretch = np.linalg.svd(values[:3, :3], compute_uv=False)
    if not stretch[2] > 1e-6 * stretch[0]:
        raise invalid(f"The transform of “{name}” flattens it (scale {_sizes(stretch)}).", "Give it a scale above 0.")


def _sizes(values: np.ndarray) -> str:
    return " × ".join(f"{float(value):g}" for value in values)


def check_ref(name: str, ref: ArrayRef) -> None:
    """Raise ``invalid_recipe`` where the blob behind ``ref`` would be empty or too large."""
    try:
        check_size(ref.sha256, ref_size(ref))
    except ProtocolError as error:
        raise invalid(f"“{name}”: {error.message}", "Send what is not empty, within the limits.") from error
