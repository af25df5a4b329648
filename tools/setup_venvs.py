"""Creates the virtual environments: ``python tools/setup_venvs.py backend blender-4.5``. Standard library only.

A finished environment carries a stamp (a hash of everything that defines it), so that a second run
costs a few milliseconds. Every failure ends in one sentence that says what to do.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAMP = ".maquette-stamp"
BLENDER_PYTHON = (3, 11)
"""PyPI's bpy 4.2 to 5.0 exist for this Python only."""

BPY_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libgomp.so.1": "libgomp1",
    "libEGL.so.1": "libegl1",
}
"""Shared libraries that bpy loads on Linux, and the Debian packages that hold them."""

NETWORK_SIGNS = (
    "Temporary failure in name resolution",
    "NewConnectionError",
    "Network is unreachable",
    "Connection refused",
    "timed out",
    "No matching distribution found",
)
"""How pip says that it reached no index, or one that lacks what every public index has."""


class SetupError(Exception):
    """What went wrong and what to do about it, as one sentence for a person."""


@dataclass(frozen=True)
class Environment:
    """One virtual environment and what goes into it."""

    folder: str
    constraints: str
    steps: tuple[tuple[str, tuple[str, ...]], ...]
    """(what a person reads, pip's arguments)."""
    probe: str
    """A Python statement that succeeds when the environment is usable."""
    needs_bpy: bool = False


def blender(version: str, bpy: str, numpy: str = "numpy<2") -> Environment:
    """The environment that is Blender ``version``: PyPI's bpy is real Blender as a module."""
    return Environment(
        folder=f".venv-blender-{version}",
        constraints="constraints-blender.txt",
        steps=(
            (f"Blender {version} (370 MB to download)", (f"bpy=={bpy}", numpy)),
            (
                "what the add-on and its tests use",
                ("pyzmq", "msgpack", "pillow", "psutil", "pytest", "pytest-timeout", "hypothesis"),
            ),
            ("this checkout", ("--no-deps", "--editable", ".")),
        ),
        probe="import bpy, zmq, msgpack, maquette_protocol",
        needs_bpy=True,
    )


ENVIRONMENTS = {
    "backend": Environment(
        folder=".venv-backend",
        constraints="constraints.txt",
        steps=(
            ("torch and numba", ("torch", "numba", "scipy")),
            ("the backend, its libraries and the test tools", ("--editable", ".[backend,training,dev]")),
        ),
        probe="import torch, numba, igl, xatlas, zmq, maquette_protocol, maquette_backend",
    ),
    "blender-4.5": blender("4.5", "4.5.15"),
    # 4.2's metadata names no numpy; the real program carries this one.
    "blender-4.2": blender("4.2", "4.2.23", "numpy==1.24.3"),
    "blender-5.0": blender("5.0", "5.0.1"),
}


def main() -> int:
    """Set up the named environments; 0 when all are ready."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=sorted(ENVIRONMENTS))
    parser.add_argument("--stamp", action="store_true", help="only check and stamp an environment that exists already")
    arguments = parser.parse_args()
    try:
        for name in arguments.names:
            set_up(name, ENVIRONMENTS[name], install=not arguments.stamp)
    except SetupError as error:
        say(f"\nSet-up stopped: {error}")
        return 1
    return 0


def set_up(name: str, environment: Environment, install: bool = True) -> None:
    """Make one environment ready, or return at once when its stamp is right. Raises SetupError."""
    folder = ROOT / environment.folder
    stamp = fingerprint(environment)
    stamp_file = folder / STAMP
    if stamp_file.is_file() and stamp_file.read_text().strip() == stamp:
        return
    started = time.perf_counter()
    check_python(environment)
    if environment.needs_bpy:
        ensure_bpy_libraries(name)
    if install:
        install_packages(name, environment, folder)
    with step(name, "checking that it works"):
        check_probe(folder, environment.probe)
    stamp_file.write_text(stamp + "\n")
    say(f"{name}: ready in {time.perf_counter() - started:.0f} s")


def fingerprint(environment: Environment) -> str:
    """A hash of all that defines the environment; another hash means another installation."""
    state = hashlib.sha256(repr((environment, sys.version_info[:2])).encode())
    for file in ("pyproject.toml", environment.constraints):
        state.update((ROOT / file).read_bytes())
    return state.hexdigest()


def check_python(environment: Environment) -> None:
    """Raise SetupError when this Python can't carry the environment."""
    version = sys.version_info[:2]
    if version == BLENDER_PYTHON or (version > BLENDER_PYTHON and not environment.needs_bpy):
        return
    who = "Blender as a Python module needs Python 3.11" if environment.needs_bpy else "Python 3.11 or newer is needed"
    raise SetupError(
        f"{who} and this is {version[0]}.{version[1]}: install Python 3.11 "
        "and run the same command with PYTHON=python3.11 behind it."
    )


def ensure_bpy_libraries(name: str) -> None:
    """Check that bpy's shared libraries are there; as root on a Debian system, install them."""
    packages = missing_bpy_packages()
    if not packages:
        return
    command = f"apt-get install --no-install-recommends -y {' '.join(packages)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(f"Blender needs system libraries that are missing here; run: sudo {command}")
    with step(name, f"installing system libraries that Blender needs: {' '.join(packages)}"):
        for line in ("apt-get update", command):
            done = run(line.split())
            if done.returncode:
                raise SetupError(f"`{line}` failed ({last_line(done.stdout)}); run it yourself and start again.")


def missing_bpy_packages() -> list[str]:
    """Debian packages of the shared libraries that can't be loaded here; empty elsewhere than on Linux."""
    return [package for library, package in BPY_LIBRARIES.items() if sys.platform == "linux" and not loadable(library)]


def loadable(library: str) -> bool:
    """Whether the dynamic linker finds a shared library by this name."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install_packages(name: str, environment: Environment, folder: Path) -> None:
    """Create the environment where there is none, and bring each step's packages into it."""
    if not python_of(folder).exists():
        with step(name, f"creating {environment.folder}"):
            created = run([sys.executable, "-m", "venv", "--clear", str(folder)])
        if created.returncode:
            raise SetupError(f"creating {folder} failed ({last_line(created.stdout)}); install Python's venv module.")
    for text, arguments in environment.steps:
        with step(name, f"installing {text}"):
            pip_install(folder, environment.constraints, arguments)


def pip_install(folder: Path, constraints: str, arguments: tuple[str, ...]) -> None:
    """Run pip inside the environment. Raises SetupError with the last lines' meaning.

    Byte-compiling costs a fifth of the time and Python does it on first import anyway.
    """
    pip = [str(python_of(folder)), "-m", "pip", "install", "--quiet", "--prefer-binary", "--no-compile"]
    done = run([*pip, "--disable-pip-version-check", "--constraint", constraints, *arguments])
    if done.returncode == 0:
        return
    log = folder / "setup.log"
    log.write_text(done.stdout)
    if any(sign in done.stdout for sign in NETWORK_SIGNS):
        raise SetupError(
            "pip could not get what it needs from its package index "
            f"({last_line(done.stdout)}): connect to the network, or set pip's proxy or index, and run again."
        )
    if "No space left on device" in done.stdout:
        raise SetupError("the disk is full: an environment needs 2 GB; free some space and run again.")
    raise SetupError(f"pip failed: {last_line(done.stdout)} (all of it is in {log}).")


def check_probe(folder: Path, probe: str) -> None:
    """Import what matters in the environment. Raises SetupError."""
    done = run([str(python_of(folder)), "-c", probe])
    if done.returncode:
        raise SetupError(f"the environment in {folder} does not work: {last_line(done.stdout)}; delete it, run again.")


def python_of(folder: Path) -> Path:
    """The environment's interpreter."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command in the repository root, its whole output as text in ``stdout``."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PYTHONPATH": ""}
    return subprocess.run(
        command, cwd=ROOT, env=quiet, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def last_line(output: str) -> str:
    """The last line that says something; pip and apt put the reason there."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1]


@contextmanager
def step(name: str, text: str) -> Iterator[None]:
    """One progress line: what is being done, then its seconds; on a terminal the seconds count up."""
    started = time.perf_counter()
    finished = threading.Event()
    label = f"{name}: {text} …"
    say(label, end="")
    ticker = threading.Thread(target=tick, args=(label, started, finished), daemon=True)
    if sys.stdout.isatty():
        ticker.start()
    try:
        yield
    finally:
        finished.set()
        if ticker.is_alive():
            ticker.join()
    say(
        f"\r{label} {time.perf_counter() - started:.1f} s"
        if sys.stdout.isatty()
        else f" {time.perf_counter() - started:.1f} s"
    )


def tick(label: str, started: float, finished: threading.Event) -> None:
    """Count seconds on the terminal's current line until the step ends."""
    while not finished.wait(1.0):
        say(f"\r{label} {time.perf_counter() - started:.0f} s", end="")


def say(text: str, end: str = "\n") -> None:
    """Write to the terminal at once."""
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
