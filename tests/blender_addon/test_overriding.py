"""Blender dies, by chance, of operators in a ``temp_override`` beside a thread that runs Python: none is run so."""

from __future__ import annotations

import threading
from pathlib import Path

import blender_scenes as scenes
import bpy
import psutil
import pytest
from driving import Addon, begin, pump_until, push, undo
from small_backend import SmallBackend

ADDON = Path(__file__).resolve().parents[2] / "blender_addon"


def talking() -> list[str]:
    """The connection's threads that are alive."""
    return [one.name for one in threading.enumerate() if one.name == "maquette-connection"]


def open_sockets(endpoint: str) -> int:
    """TCP connections of this process that lead to ``tcp://host:port``."""
    port = int(endpoint.rpartition(":")[2])
    return sum(bool(one.raddr) and one.raddr.port == port for one in psutil.Process().net_connections("tcp"))


def test_the_addon_overrides_the_context_in_one_place_only() -> None:
    using = [path.name for path in ADDON.rglob("*.py") if "temp_override(" in path.read_text()]
    assert using == ["overriding.py"]


def test_the_connection_rests_in_an_override_and_goes_on_after_it(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    connected.script.hold_at = 1
    job = begin(addon)
    pump_until(addon, lambda: job.progress is not None)
    overriding = addon("overriding")
    for _ in range(2):
        assert talking() == ["maquette-connection"]
        with overriding.overridden(bpy.context, object=crate):
            assert bpy.context.object == crate
            assert talking() == []
            connected.script.hold_at = None
    pump_until(addon, lambda: addon("pump").runtime().job is None)
    assert "Crate refined" in bpy.data.objects
    assert talking() == ["maquette-connection"]


def test_it_goes_on_after_an_error_too(addon: Addon, connected: SmallBackend) -> None:
    with pytest.raises(ZeroDivisionError), addon("overriding").overridden(bpy.context):
        raise ZeroDivisionError
    assert talking() == ["maquette-connection"]
    addon("pump").runtime().disconnect()
    assert talking() == []


def test_a_connection_that_is_closed_in_an_override_stays_closed(addon: Addon, connected: SmallBackend) -> None:
    told = connected.connection.endpoint
    with addon("overriding").overridden(bpy.context):
        addon("pump").runtime().disconnect()
        assert open_sockets(told) == 1
    pump_until(addon, lambda: not talking() and open_sockets(told) == 0)


def test_a_step_needs_no_window_and_is_named_for_what_it_is_for(
    addon: Addon, capfd: pytest.CaptureFixture[str]
) -> None:
    push("before")
    before = scenes.state()
    scenes.cube(prompt=None)
    with bpy.context.temp_override(window=None):  # as a timer has it
        assert not bpy.ops.ed.undo_push.poll()
        addon("undo_steps").refine()
    after = scenes.state()
    undo()
    assert scenes.differences(before, scenes.state()) == {}
    bpy.ops.ed.redo()
    assert scenes.differences(after, scenes.state()) == {}
    bpy.context.window_manager.print_undo_steps()
    assert "Maquette: Refine" in capfd.readouterr().out
