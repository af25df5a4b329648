"""Real Blender with the extension installed from its zip, as an artist has it; a fresh scene for each test."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# before bpy is imported: nothing of the user's own Blender is read or written
os.environ.setdefault("BLENDER_USER_RESOURCES", tempfile.mkdtemp(prefix="maquette-blender-"))
bpy = pytest.importorskip("bpy")

from driving import Addon, pump_until  # noqa: E402
from small_backend import SmallBackend  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "bl_ext.user_default.maquette"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Blender 4.2 as a module frees its panels after Python has ended, and dies of it: tests that passed would fail."""
    session = config.pluginmanager.get_plugin("session")
    if bpy.app.version < (4, 5) and session is not None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(session.exitstatus))


@pytest.fixture(scope="session")
def extension_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension, built and validated by Blender's own builder, with this platform's wheels."""
    target = tmp_path_factory.mktemp("extension") / "maquette.zip"
    command = [sys.executable, str(ROOT / "tools" / "build_extension.py"), "--platform", "current"]
    subprocess.run([*command, "--output", str(target)], check=True, timeout=200)
    return target


@pytest.fixture(scope="session")
def installed(extension_zip: Path) -> str:
    """Install from the zip; the name of the extension's package."""
    done = bpy.ops.extensions.package_install_files(
        filepath=str(extension_zip), repo="user_default", enable_on_install=True
    )
    assert done == {"FINISHED"}
    return PACKAGE


@pytest.fixture
def addon(installed: str, tmp_path: Path) -> Iterator[Addon]:
    """An empty scene with the extension enabled; gives its modules by name."""
    import addon_utils

    bpy.ops.wm.read_factory_settings(use_empty=True)
    addon_utils.enable(installed, default_set=True)
    bpy.context.preferences.addons[installed].preferences.connection_file = str(tmp_path / "connection.json")
    yield lambda name="": importlib.import_module(f"{installed}.{name}" if name else installed)
    addon_utils.disable(installed)


@pytest.fixture
def backend(addon: Addon, tmp_path: Path) -> Iterator[SmallBackend]:
    """A backend that the extension's connection file leads to."""
    found = SmallBackend(tmp_path / "connection.json")
    yield found
    found.close()


@pytest.fixture
def connected(addon: Addon, backend: SmallBackend) -> SmallBackend:
    """The same, connected."""
    addon("pump").runtime().reconnect()
    pump_until(addon, lambda: addon("pump").runtime().welcome is not None)
    return backend
