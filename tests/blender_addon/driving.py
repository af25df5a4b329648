"""Drives the add-on the way the timer and the buttons do in a window."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType

import bpy

Addon = Callable[[str], ModuleType]
"""Gives the installed extension's modules by name."""


def pump_until(addon: Addon, done: Callable[[], bool], timeout_secs: float = 15.0) -> None:
    """Do what the timer does in a window, until something is so."""
    until = time.monotonic() + timeout_secs
    while not done():
        assert time.monotonic() < until, "what was waited for did not happen"
        addon("pump").runtime().tick(bpy.context)
        time.sleep(0.005)


def begin(addon: Addon) -> object:
    """Start a job as the Refine button does in a window, without waiting for it."""
    return addon("jobs").start(bpy.context, addon("pump").runtime())


# None of these in a ``temp_override``: operators in one are not safe beside threads (see the add-on's ``overriding``).
def push(message: str = "test") -> None:
    """An undo step, as anything that the artist does makes one."""
    assert bpy.ops.ed.undo_push(message=message) == {"FINISHED"}


def undo() -> None:
    """Ctrl-Z."""
    assert bpy.ops.ed.undo() == {"FINISHED"}


def redo() -> None:
    """Shift-Ctrl-Z."""
    assert bpy.ops.ed.redo() == {"FINISHED"}
