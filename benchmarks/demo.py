"""The whole of ``make demo`` against its budgets: set-up in a fresh clone, the job, and what it holds in memory."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parent.parent
SETUP_SECS, DEMO_SECS, PEAK_GB = 360.0, 480.0, 6.0


def rows() -> list[Row]:
    """Set up a clone, then run the demo of this checkout."""
    return [_setup(), *_demo()]


def _setup() -> Row:
    """Both environments from nothing; the package index's cache is as it is on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        python = shutil.which("python3.11") or sys.executable
        begin = time.monotonic()
        command = [python, str(clone / "tools" / "setup_venvs.py"), "backend", "blender-4.5"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        secs = time.monotonic() - begin
    how = "git clone, then the backend's and Blender 4.5's environments from nothing, downloads included"
    return Row("demo.setup_s", secs, "s", f"<= {SETUP_SECS:.0f}", secs <= SETUP_SECS, how)


def _demo() -> list[Row]:
    subprocess.run([sys.executable, str(ROOT / "tools" / "demo.py")], check=True, stdout=subprocess.DEVNULL)
    found = json.loads((ROOT / "out" / "demo" / "summary.json").read_text())
    secs, peak_gb = float(found["secs"]), float(found["peak_bytes"]) / 1e9
    how = "tools/demo.py: build, install, six pieces refined at 200 + 200 steps each, fourteen pictures"
    memory = "sum over this process, Blender, gateway and worker, twice a second"
    return [
        Row("demo.after_setup_s", secs, "s", f"<= {DEMO_SECS:.0f}", secs <= DEMO_SECS, how),
        Row("demo.peak_memory_gb", peak_gb, "GB", f"<= {PEAK_GB:.0f}", peak_gb <= PEAK_GB, memory),
    ]
