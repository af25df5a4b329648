"""Real Blender with the installed extension, and a real backend process of its own virtual environment."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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
from driving import Addon, pump_until  # noqa: E402 (found by the path above, once Blender is there)

pytest_unconfigure = _fixtures.pytest_unconfigure
extension_zip, installed, addon = _fixtures.extension_zip, _fixtures.installed, _fixtures.addon


@dataclass
class Shared:
    """A backend that serves one test after another: starting one costs more than most of their jobs."""

    home: Path
    process: subprocess.Popen[bytes] | None = None


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """Started by the first test that is served."""
    found = Shared(tmp_path_factory.mktemp("backend") / "home")
    yield found
    if found.process is not None:
        found.process.terminate()
        found.process.wait(timeout=30)


@pytest.fixture
def served(addon: Addon, installed: str, shared: Shared) -> Iterator[Path]:
    """A running backend, started by the add-on's own button; gives its home."""
    import bpy

    _point_at(installed, shared.home)
    bpy.context.preferences.addons[installed].preferences.connection_file = str(shared.home / "connection.json")
    now = addon("pump").runtime()
    if shared.process is None or shared.process.poll() is not None:
        assert bpy.ops.maquette.start_backend() == {"FINISHED"}
        shared.process, now.backend = now.backend, None  # it outlives the test
    else:
        now.reconnect()
        pump_until(addon, lambda: now.welcome is not None, 30)
    yield shared.home
    now.disconnect()


@pytest.fixture
def own_backend(addon: Addon, installed: str, tmp_path: Path) -> Iterator[Path]:
    """A backend for one test, which may end it; gives its home."""
    import bpy

    _point_at(installed, tmp_path / "home")
    assert bpy.ops.maquette.start_backend() == {"FINISHED"}
    yield tmp_path / "home"
    process = addon("pump").runtime().backend
    if bpy.ops.maquette.stop_backend.poll():
        bpy.ops.maquette.stop_backend()
    if process is not None:
        process.wait(timeout=30)


def _point_at(installed: str, home: Path) -> None:
    import bpy

    folder = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    preferences = bpy.context.preferences.addons[installed].preferences
    preferences.backend_python = str(HERE.parents[1] / ".venv-backend" / folder)
    preferences.backend_home = str(home)
