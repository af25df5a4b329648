"""The connection's thread against a backend that goes away, comes back, or talks nonsense."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import blender_scenes as scenes
import bpy
import pytest
from driving import Addon, begin, pump_until
from small_backend import SmallBackend

pytestmark = pytest.mark.blender


def test_a_restarted_backend_is_found_by_its_new_file(addon: Addon, connected: SmallBackend, tmp_path: Path) -> None:
    connected.close()
    second = SmallBackend(tmp_path / "connection.json")
    try:
        pump_until(addon, lambda: addon("pump").runtime().welcome is None, 20)
        pump_until(addon, lambda: addon("pump").runtime().welcome is not None, 20)
    finally:
        second.close()


def test_a_dead_backend_is_noticed_within_eight_seconds(addon: Addon, connected: SmallBackend) -> None:
    connected.close()
    began = time.monotonic()
    pump_until(addon, lambda: addon("pump").runtime().welcome is None, 20)
    assert time.monotonic() - began <= 8
    assert addon("pump").runtime().offline.code == "unreachable"


def test_nothing_on_the_main_thread_waits_for_a_silent_backend(addon: Addon, tmp_path: Path) -> None:
    """A listener that never answers: every tick, and disabling, stays short."""
    from maquette_protocol import auth

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        key = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"
        auth.write_connection(tmp_path / "connection.json", auth.Connection(address, key, key, key))
        addon("pump").runtime().reconnect()
        slowest = 0.0
        until = time.monotonic() + 6.0
        while time.monotonic() < until and addon("pump").runtime().offline is None:
            began = time.perf_counter()
            addon("pump").runtime().tick(bpy.context)
            slowest = max(slowest, time.perf_counter() - began)
            time.sleep(0.02)
        assert addon("pump").runtime().offline is not None
        assert slowest < 0.05
        began = time.perf_counter()
        addon("pump").runtime().disconnect()
        assert time.perf_counter() - began < 0.5


def test_a_backend_elsewhere_needs_online_access(addon: Addon, backend: SmallBackend) -> None:
    from dataclasses import replace

    from maquette_protocol import auth

    far = replace(backend.connection, endpoint="tcp://192.0.2.1:5555")
    auth.write_connection(backend.connection_file, far)
    found = addon("connection").Connection(backend.connection_file, remote_allowed=False)
    until, event = time.monotonic() + 5, None
    while event is None and time.monotonic() < until:
        event = found.take()
    found.stop()
    assert "online access" in event.error.message


def test_the_budget_of_a_tick_is_kept_and_the_newest_preview_wins(addon: Addon, connected: SmallBackend) -> None:
    scenes.cube()
    connected.script.steps = 60
    connected.script.hold_at = 50
    job = begin(addon)
    pump_until(addon, lambda: job.progress is not None and job.progress.step == 50)
    shown = job.previews
    assert 1 <= shown <= 50
    preview = bpy.data.objects["Crate (Maquette preview)"]
    pump_until(addon, lambda: job.previews > 0 and abs(preview.data.vertices[0].co.x) > 0.5)
    assert len([thing for thing in bpy.data.objects if thing.maquette.role == "PREVIEW"]) == 1
    assert len([image for image in bpy.data.images if "preview" in image.name]) == 1


def test_uploads_of_several_chunks_arrive_whole(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    crate.modifiers.new("Subdivision", "SUBSURF").levels = 7  # 98k quads: 1.2 MB of positions
    scenes.bpy.context.scene.maquette.targets[0].mode = "texture_only"
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    assert len(crate.maquette.result.data.polygons) == 6 * 4**7


def test_refusals_of_odd_results_leave_the_scene_alone(addon: Addon, connected: SmallBackend) -> None:
    """A result whose triangles name vertices that do not exist."""
    crate = scenes.cube()
    good = connected.refined

    def bad(subject: object, amount: float = 1.0) -> object:
        positions, triangles, uvs = good(subject, amount)  # type: ignore[arg-type]
        return positions, triangles + 1000, uvs

    connected.refined = bad  # type: ignore[method-assign]
    before = scenes.state()
    with pytest.raises(RuntimeError, match="vertices that do not exist"):
        bpy.ops.maquette.refine()
    assert scenes.differences(before, scenes.state()) == {}
    assert crate.maquette.result is None
