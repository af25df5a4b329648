"""What travels between Blender and the backend: recipes, messages, frames, and the two sessions.

The modules are the interface; the names gathered here are those that nearly everyone needs.
"""

from __future__ import annotations

from .arrays import array_bytes, array_from, array_ref, ref_size, sha256_hex
from .cameras import cameras_that_see, check_seen
from .checks import check_recipe
from .codec import Envelope, decode, encode
from .errors import ErrorCode, MaquetteError, ProtocolError
from .mesh import check_mesh
from .recipe import Recipe
from .recipe_text import recipe_from_json, recipe_hash, recipe_to_bytes, recipe_to_json
from .session import ClientSession, PeerSession
from .version import MAJOR, MINOR, compatible

__all__ = [
    "MAJOR",
    "MINOR",
    "ClientSession",
    "Envelope",
    "ErrorCode",
    "MaquetteError",
    "PeerSession",
    "ProtocolError",
    "Recipe",
    "array_bytes",
    "array_from",
    "array_ref",
    "cameras_that_see",
    "check_mesh",
    "check_recipe",
    "check_seen",
    "compatible",
    "decode",
    "encode",
    "recipe_from_json",
    "recipe_hash",
    "recipe_to_bytes",
    "recipe_to_json",
    "ref_size",
    "sha256_hex",
]
