"""A recipe as text: stored on a Blender object, saved to a file, hashed to recognise a repeated job."""

from __future__ import annotations

import hashlib
import json

from .errors import ProtocolError
from .plain import from_plain, to_plain
from .recipe import RECIPE_FORMAT, Recipe

MAX_TEXT_CHARS = 1 << 20
"""Of a stored recipe; one that could be sent has at most 64 KiB."""


def recipe_to_bytes(recipe: Recipe) -> bytes:
    """The canonical form: UTF-8 JSON, sorted keys, no spaces, fields at their default left out.

    Equal recipes give equal bytes, also after a later version has added fields with defaults.
    """
    plain = to_plain(recipe, omit_defaults=True)
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256 of the canonical form, 64 hex digits."""
    return hashlib.sha256(recipe_to_bytes(recipe)).hexdigest()


def recipe_to_json(recipe: Recipe) -> str:
    """Readable text with every field, for storing."""
    return json.dumps(to_plain(recipe), indent=1, ensure_ascii=False, allow_nan=False)


def recipe_from_json(text: str) -> Recipe:
    """Read stored text, checked as strictly as a message from the network.

    Raises:
        ProtocolError: not JSON, a field of another type, or a newer recipe format.
    """
    if len(text) > MAX_TEXT_CHARS:
        raise ProtocolError(f"A recipe of {len(text)} characters is above {MAX_TEXT_CHARS}.")
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("The stored recipe is not valid JSON.", "Refine the object again.") from error
    recipe = from_plain(Recipe, plain)
    if recipe.format != RECIPE_FORMAT:
        raise ProtocolError(
            f"The recipe has format {recipe.format}; this version reads {RECIPE_FORMAT}.", "Update Maquette."
        )
    return recipe
