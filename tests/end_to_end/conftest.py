"""Real Blender with the installed extension, and a real backend process of its own virtual environment."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ADDON_TESTS = HERE.parent / "blender_addon"
sys.path[:0] = [str(ADDON_TESTS)]
_spec = importlib.util.spec_from_file_location("maquette_addon_fixtures", ADDON_TESTS / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
extension_zip, installed, addon = _fixtures.extension_zip, _fixtures.installed, _fixtures.addon


@pytest.fixture
def served(addon, installed: str, tmp_path: Path) -> Iterator[Path]:
    """A running backend, started by the add-on's own button; gives its home."""
    import bpy

    folder = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.backend_python = str(HERE.parents[1] / ".venv-backend" / folder)
    preferences.backend_home = str(tmp_path / "home")
    assert bpy.ops.maquette.start_backend() == {"FINISHED"}
    yield tmp_path / "home"
    process = addon("pump").runtime().backend
    if bpy.ops.maquette.stop_backend.poll():
        bpy.ops.maquette.stop_backend()
    if process is not None:
        process.wait(timeout=30)
