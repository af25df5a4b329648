"""Build dist/maquette-<version>.zip with Blender's own builder: the add-on, a copy of the protocol, and wheels.

Run by a Python that has Blender as a module (``bpy``); Blender itself is not started.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDON = ROOT / "blender_addon"
PROTOCOL = ROOT / "protocol" / "maquette_protocol"
CACHE = ROOT / ".cache" / "wheels"
PYTHONS = ("311", "313")
"""Blender 4.2 to 5.0, and 5.1 on."""
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-x64": ("macosx_10_13_x86_64", "macosx_10_9_x86_64", "macosx_10_15_universal2"),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2"),
}


def current_platform() -> str:
    """This machine's name among ``PLATFORMS``."""
    import platform

    arm = platform.machine().lower() in ("arm64", "aarch64")
    names = {"linux": "linux-x64", "win32": "windows-x64", "darwin": "macos-arm64" if arm else "macos-x64"}
    return names[sys.platform]


def download_wheels(platform: str) -> list[Path]:
    """The wheels of tools/wheels.txt for a platform, both Pythons, from the cache where they are there."""
    folder = CACHE / platform
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ROOT / "tools" / "wheels.txt"
    marker = folder / "complete"
    if not marker.exists() or marker.read_text() != wanted.read_text():
        for wheel in folder.glob("*.whl"):
            wheel.unlink()
        for python in PYTHONS:
            _pip_download(wanted, folder, platform, python)
        marker.write_text(wanted.read_text())
    return sorted(folder.glob("*.whl"))


def _pip_download(wanted: Path, folder: Path, platform: str, python: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--requirement", str(wanted), "--dest", str(folder), "--python-version", python]
    for tag in PLATFORMS[platform]:
        command += ["--platform", tag]
    subprocess.run(command, check=True)


def stage(folder: Path, platforms: list[str]) -> None:
    """A copy of the add-on as it goes into the zip: the protocol inside, the wheels beside."""
    skip = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(ADDON, folder, ignore=skip)
    (folder / "_protocol.py").unlink()
    shutil.copytree(PROTOCOL, folder / "_protocol", ignore=skip)
    wheels = folder / "wheels"
    wheels.mkdir()
    for platform in platforms:
        for wheel in download_wheels(platform):
            shutil.copy2(wheel, wheels / wheel.name)
    names = sorted(path.name for path in wheels.iterdir())
    manifest = folder / "blender_manifest.toml"
    listed = ",\n".join(f'  "./wheels/{name}"' for name in names)
    platform_list = ", ".join(f'"{name}"' for name in platforms)
    lines = manifest.read_text().splitlines()
    lines = [f"wheels = [\n{listed},\n]" if line.startswith("wheels =") else line for line in lines]
    lines = [f"platforms = [{platform_list}]" if line.startswith("platforms =") else line for line in lines]
    manifest.write_text("\n".join(lines) + "\n")


def builder() -> Path:
    """Blender's own command for building extensions."""
    spec = importlib.util.find_spec("bpy")
    if spec is None or spec.origin is None:
        raise SystemExit("This Python has no bpy: run it with .venv-blender-4.5/bin/python.")
    package = Path(spec.origin).resolve().parent
    found = [*package.glob("**/bl_pkg/cli/blender_ext.py"), *package.parents[2].glob("**/bl_pkg/cli/blender_ext.py")]
    return found[0]


def build(platforms: list[str], output: Path) -> Path:
    """Stage, build and validate; the path of the zip."""
    version = tomllib.loads((ADDON / "blender_manifest.toml").read_text())["version"]
    target = output if output.suffix == ".zip" else output / f"maquette-{version}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    run = [sys.executable, str(builder())]
    with tempfile.TemporaryDirectory() as scratch:
        staging = Path(scratch) / "maquette"
        stage(staging, platforms)
        subprocess.run([*run, "build", "--source-dir", str(staging), "--output-filepath", str(target)], check=True)
    subprocess.run([*run, "validate", str(target)], check=True)
    return target


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platform", choices=["all", "current", *PLATFORMS], default="all")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="a folder, or a file ending in .zip")
    given = parser.parse_args()
    names = {"all": list(PLATFORMS), "current": [current_platform()]}.get(given.platform, [given.platform])
    sys.stdout.write(f"{build(names, given.output.resolve())}\n")


if __name__ == "__main__":
    main()
