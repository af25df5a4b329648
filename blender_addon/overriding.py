"""Blender's operators in a context of our choosing, safe beside the connection's thread.

Inside ``temp_override``, Blender looks up each context member in a Python dictionary. Operators run with the
interpreter's lock released, and the lookup takes it only where no thread at all holds it (4.2 to 5.0): if another
thread runs Python just then, two threads are in Python's allocator and Blender dies of it sooner or later. So: where
the operator needs no other context, none is made; where it does, the connection's thread rests meanwhile.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy

from . import connection


@contextmanager
def overridden(context: bpy.types.Context, **members: object) -> Iterator[None]:
    """``temp_override`` for calling operators in: until it is left, nothing is sent or received."""
    with connection.at_rest(), context.temp_override(**members):
        yield
