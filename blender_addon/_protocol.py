"""The protocol, as the add-on imports it: in the checkout the installed package, in the built extension a copy of it.

Always written ``from ._protocol import messages``: that reads the same from this module and from the copy.
"""

from maquette_protocol import (
    arrays,
    auth,
    cameras,
    checks,
    codec,
    errors,
    events,
    limits,
    mesh,
    messages,
    presets,
    readings,
    recipe,
    recipe_text,
    session,
    version,
)

__all__ = [
    "arrays",
    "auth",
    "cameras",
    "checks",
    "codec",
    "errors",
    "events",
    "limits",
    "mesh",
    "messages",
    "presets",
    "readings",
    "recipe",
    "recipe_text",
    "session",
    "version",
]
