"""The zip: its contents, and that enabling and disabling leaves nothing behind."""

from __future__ import annotations

import ast
import gc
import os
import threading
import tomllib
import zipfile
from pathlib import Path

import bpy
import pytest
from driving import Addon, pump_until
from small_backend import SmallBackend

pytestmark = pytest.mark.blender
ROOT = Path(__file__).resolve().parents[2]


def test_zip_carries_a_working_copy_of_the_protocol_and_only_what_is_needed(extension_zip: Path) -> None:
    with zipfile.ZipFile(extension_zip) as archive:
        names = set(archive.namelist())
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
        copied = {name for name in names if name.startswith("_protocol/")}
        for name in copied:
            source = ROOT / "protocol" / "maquette_protocol" / name.removeprefix("_protocol/")
            assert archive.read(name) == source.read_bytes()
    assert "_protocol/session.py" in copied
    assert "_protocol.py" not in names
    assert {"./" + name for name in names if name.endswith(".whl")} == set(manifest["wheels"])
    packages = {Path(name).name.split("-")[0] for name in manifest["wheels"]}
    assert packages == {"pyzmq", "msgpack"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]
    tags = {Path(name).name.split("-")[2] for name in manifest["wheels"]}
    assert tags == {"cp311", "cp312", "cp313"}  # Blender to 5.0; abi3 and cp313 for 5.1 on


def test_the_copy_in_the_zip_is_what_runs(addon: Addon) -> None:
    assert addon("_protocol").messages.__name__ == "bl_ext.user_default.maquette._protocol.messages"


def test_the_connection_knows_no_bpy() -> None:
    for name in ("connection.py", "wire.py", "traffic.py", "refined.py"):
        tree = ast.parse((ROOT / "blender_addon" / name).read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert "bpy" not in imported


def _ours() -> tuple[int, ...]:
    """What could leak: our classes, handlers, timers' owner, threads, descriptors."""
    gc.collect()
    classes = [name for name in dir(bpy.types) if name.startswith("MAQUETTE_")]
    handlers = [
        handler
        for name in ("load_post", "undo_post", "redo_post")
        for handler in getattr(bpy.app.handlers, name)
        if "maquette" in handler.__module__
    ]
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0  # noqa: PTH208
    return len(classes), len(handlers), threading.active_count(), descriptors


def test_twenty_times_on_and_off_leaks_nothing(addon: Addon, backend: SmallBackend, installed: str) -> None:
    import addon_utils

    pump = addon("pump")
    timer = pump._on_timer
    found = []
    for _ in range(20):
        addon("pump").runtime().reconnect()
        pump_until(addon, lambda: addon("pump").runtime().welcome is not None)
        addon_utils.disable(installed)
        assert not bpy.app.timers.is_registered(timer)
        assert not hasattr(bpy.types.Scene, "maquette")
        found.append(_ours())
        addon_utils.enable(installed)
        timer = addon("pump")._on_timer
        assert bpy.app.timers.is_registered(timer)
        bpy.context.preferences.addons[installed].preferences.connection_file = str(backend.connection_file)
    assert found[0][:2] == (0, 0)
    assert found[-1][:3] == found[1][:3]
    # each closed connection leaves its routing id's descriptor at the server until libzmq sees it go
    assert found[-1][3] <= found[1][3] + 4
