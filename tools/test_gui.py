"""``make test-gui``: the add-on in a real window of Blender 4.3, used as an artist uses it; pictures in ``out/gui``.

The window's system is a Debian in a folder, made once by debootstrap (2 GB). Everything that is mounted there is
mounted in a namespace that ends with its command, so the folder never holds a mount of this machine.
The backend runs outside of it, as it would beside an artist's Blender.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BLENDER = ROOT / ".venv-blender-4.5" / "bin" / "python"
SYSTEM = ROOT / ".cache" / "gui-blender" / "root"
OUT = ROOT / "out" / "gui"
SUITE, PYTHON_TAG = "trixie", "cp313"
"""The Debian whose Blender is 4.3, and what its Python calls its own wheels."""
PACKAGES = (
    *("blender", "xvfb", "xauth", "libgl1-mesa-dri", "xdotool", "imagemagick"),
    *("python3-numpy", "python3-requests", "python3-zstandard"),
)
INSIDE = "/mnt"
"""Where ``OUT`` is in the window's system."""
MAX_TICK_MILLIS, MAX_DELIVERY_MILLIS = 50.0, 250.0
"""Of the add-on's own work in one call of its timer: while a job runs, and once when the result comes."""
MAX_MEDIAN_GAP_MILLIS = 60.0
"""Between two calls of a 20 ms timer while a job runs. The longest gap is printed beside that of a control without
Maquette, not judged: without a graphics card the processor draws in the same thread, and compiles shaders there."""


def main() -> int:
    """Prepare, run the scenario, judge what it measured; the process's exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs=2, default=(30, 30), metavar=("SHAPE", "COLOUR"))
    parser.add_argument("--grid", type=int, default=32)
    chosen = parser.parse_args()
    require_root()
    require_debootstrap()
    prepare_system()
    shutil.rmtree(OUT, ignore_errors=True)
    (OUT / "shots").mkdir(parents=True)
    archive = build_extension()
    shutil.copy2(archive, OUT / "maquette.zip")
    shutil.copy2(ROOT / "examples" / "room" / "room.blend", OUT / "room.blend")
    for script in ("gui_scenario.py", "gui_driving.py"):
        shutil.copy2(ROOT / "tools" / script, OUT / script)
    (OUT / "sizes.json").write_text(json.dumps({"steps": chosen.steps, "grid": chosen.grid}))
    with backend(OUT / "backend") as process:
        run_scenario(process)
    return judge(OUT / "results.json")


# ---- the window's system --------------------------------------------------------------------------
def require_root() -> None:
    """Say what is needed where this cannot run."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise SystemExit(
            "The windowed test needs root on Linux (debootstrap, chroot): run `sudo make test-gui`, or try it by hand."
        )


def require_debootstrap() -> None:
    """Install debootstrap where Debian's own tools can."""
    if shutil.which("debootstrap") is None and shutil.which("apt-get") is not None:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", "debootstrap"], check=False)
    if shutil.which("debootstrap") is None:
        raise SystemExit("debootstrap is missing: install it with this system's package manager, then try again.")


def prepare_system() -> None:
    """Make the folder with Debian and Blender, once; a half-made one is made anew."""
    if SYSTEM.exists():
        return
    partial = SYSTEM.with_suffix(".partial")
    remove_system(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"Making a Debian with Blender in {SYSTEM.relative_to(ROOT)} (once; minutes, 2 GB) …\n")
    sys.stdout.flush()
    quoted = shlex.quote(str(partial))
    # services have no business starting in there
    policy = (
        f"printf '#!/bin/sh\\nexit 101\\n' >{quoted}/usr/sbin/policy-rc.d && chmod 755 {quoted}/usr/sbin/policy-rc.d"
    )
    install = f"apt-get install -y --no-install-recommends {' '.join(PACKAGES)}"
    script = f"debootstrap --variant=minbase {SUITE} {quoted} && {policy} && "
    script += f"DEBIAN_FRONTEND=noninteractive chroot {quoted} {install} && chroot {quoted} apt-get clean"
    log = SYSTEM.parent / "setup.log"
    with log.open("wb") as file:
        status = subprocess.run(own_mounts(script), stdout=file, stderr=file, stdin=subprocess.DEVNULL).returncode
    if status != 0:
        raise SystemExit(f"The window's system could not be made (status {status}): see {log}.")
    partial.rename(SYSTEM)


def remove_system(folder: Path) -> None:
    """Delete a half-made system, never through a mount."""
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounted if Path(point).is_relative_to(folder)]
    if inside:
        raise SystemExit(f"{', '.join(inside)} is still mounted: unmount it, then delete {folder}.")
    if folder.exists():
        shutil.rmtree(folder)


def own_mounts(script: str) -> list[str]:
    """A command that runs a shell script in a mount namespace of its own."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-eu", "-c", script]


# ---- what the scenario needs ----------------------------------------------------------------------
def build_extension() -> Path:
    """The zip with this platform's wheels, among them those of the window's Python."""
    if not BLENDER.exists():
        raise SystemExit("The extension is built by .venv-blender-4.5: run `make setup` first.")
    archive = ROOT / "dist" / "maquette-gui.zip"
    command = [str(BLENDER), str(ROOT / "tools" / "build_extension.py"), "--platform", "current"]
    done = subprocess.run([*command, "--output", str(archive)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit("The extension could not be built: the builder's words stand above.")
    wheels = [name for name in zipfile.ZipFile(archive).namelist() if name.endswith(".whl")]
    for package in ("pyzmq", "msgpack"):
        fits = [name for name in wheels if package in name and (PYTHON_TAG in name or "abi3" in name)]
        if not fits:
            raise SystemExit(f"The extension carries no {package} wheel for {PYTHON_TAG}: {wheels}")
    return archive


@contextmanager
def backend(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A real backend on a free loopback port, its connection file (mode 0600) in the folder the window sees."""
    connection = OUT / "connection.json"
    command = [sys.executable, "-m", "maquette_backend", "serve", "--home", str(home)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    with (OUT / "backend.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--connection-file", str(connection)], stdout=log, stderr=log, env=environment
        )
    try:
        until = time.monotonic() + 60
        while not connection.exists():
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"The backend did not start: see {OUT / 'backend.log'}.")
            time.sleep(0.1)
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end, and see that it does."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


# ---- the scenario ---------------------------------------------------------------------------------
def run_scenario(backend_process: subprocess.Popen[bytes], timeout_secs: float = 420.0) -> None:
    """Blender in its window; ends the backend when the scenario asks for it."""
    root = shlex.quote(str(SYSTEM))
    blender = (
        f"cd {INSIDE} && exec xvfb-run -a -s '-screen 0 1280x800x24 +extension GLX' blender {INSIDE}/room.blend "
        f"--factory-startup --window-geometry 0 0 1280 800 --python {INSIDE}/gui_scenario.py"
    )
    script = (
        f"mount --rbind /dev {root}/dev; mount -t proc proc {root}/proc; mount -t tmpfs tmpfs {root}/tmp; "
        f"mount --bind {shlex.quote(str(OUT))} {root}{INSIDE}; "
        f"exec chroot {root} env HOME={INSIDE}/home BLENDER_USER_RESOURCES={INSIDE}/user sh -c {shlex.quote(blender)}"
    )
    (OUT / "home").mkdir()
    with (OUT / "blender.log").open("wb") as log:
        # xvfb-run signals its own group when it ends
        window = subprocess.Popen(
            own_mounts(script), stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    until = time.monotonic() + timeout_secs
    try:
        while window.poll() is None and time.monotonic() < until:
            if (OUT / "stop-backend").exists():
                end(backend_process)
            time.sleep(0.1)
    finally:
        if window.poll() is None:
            os.killpg(window.pid, 15)
            window.wait(timeout=20)


def judge(results: Path) -> int:
    """Print what was found; 0 when everything held."""
    if not results.exists():
        raise SystemExit(f"The scenario left no results: see {OUT / 'blender.log'}.")
    found: dict[str, dict[str, float | str | bool]] = json.loads(results.read_text())
    figures = found["figures"]
    checks = found["checks"]
    for limit, name, what in (
        (MAX_TICK_MILLIS, "job: longest tick, ms", "the add-on's own work is short while a job runs"),
        (MAX_DELIVERY_MILLIS, "delivery: longest tick, ms", "and when the result comes"),
        (MAX_MEDIAN_GAP_MILLIS, "job: median gap, ms", "the window stays alive while a job runs"),
    ):
        checks[what] = float(figures.get(name, "inf")) <= limit
    for name, held in checks.items():
        sys.stdout.write(f"  {'ok  ' if held else 'FAIL'}  {name}\n")
    for name, figure in figures.items():
        sys.stdout.write(f"        {name}: {figure}\n")
    if "error" in found:
        sys.stdout.write(f"The scenario stopped:\n{found['error']}\n")
    sys.stdout.write(f"Pictures: {(OUT / 'shots').relative_to(ROOT)}\n")
    return 0 if all(checks.values()) and "error" not in found else 1


if __name__ == "__main__":
    sys.exit(main())
