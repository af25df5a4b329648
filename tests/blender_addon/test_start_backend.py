"""Start Backend: a real backend process, started, greeted and ended by the add-on's own operators."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import bpy
import pytest
from driving import Addon, pump_until

pytestmark = pytest.mark.blender
ROOT = Path(__file__).resolve().parents[2]
BACKEND_PYTHON = ROOT / ".venv-backend" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def test_start_and_stop(addon: Addon, installed: str, tmp_path: Path) -> None:
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.backend_python, preferences.backend_home = str(BACKEND_PYTHON), str(tmp_path / "home")
    runtime = addon("pump").runtime()
    assert bpy.ops.maquette.start_backend() == {"FINISHED"}
    try:
        assert "starter" in runtime.welcome.priors
        assert stat.S_IMODE((tmp_path / "connection.json").stat().st_mode) == 0o600
        assert not bpy.ops.maquette.start_backend.poll()
        process = runtime.backend
        # a session of its own: it outlives Blender, and Ctrl-C in Blender's terminal does not reach it
        assert os.getsid(process.pid) == process.pid
    finally:
        bpy.ops.maquette.stop_backend()
    assert process.wait(timeout=15) == 0
    pump_until(addon, lambda: runtime.backend is None)
    assert runtime.last_error is None


def test_without_a_python_it_says_what_to_set(addon: Addon) -> None:
    with pytest.raises(RuntimeError, match="Backend Python"):
        bpy.ops.maquette.start_backend()


def test_a_python_without_the_backend_is_told_with_its_own_words(addon: Addon, installed: str) -> None:
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.backend_python = str(Path(sys.base_prefix) / "bin" / "python3")
    with pytest.raises(RuntimeError, match="No module named"):
        bpy.ops.maquette.start_backend()
    assert addon("pump").runtime().last_error.remedy
