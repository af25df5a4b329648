"""The protocol's version, and which versions understand each other."""

from __future__ import annotations

MAJOR = 1
"""Changes when a field's type, a frame's layout or a message's meaning changes."""
MINOR = 6
"""Changes when a message, or a field with a default, is added."""


def compatible(major: int) -> bool:
    """True when a peer that speaks ``major`` can be understood; minors are always compatible."""
    return major == MAJOR


def mismatch(other_major: int, whose: str) -> str:
    """The sentence that names both versions, for an error's message. ``whose`` is ``client`` or ``backend``."""
    return f"The {whose} speaks protocol version {other_major}, and this side speaks version {MAJOR}."


MISMATCH_REMEDY = "Install the same release of the Maquette add-on and of the backend."
