"""The demo's half that runs in real Blender: installs the extension's zip, opens the room, refines, renders.

Run by ``tools/demo.py`` in the Blender environment; leaves pictures and ``times.json`` in the output folder.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="maquette-demo-")  # before bpy: nothing of the user's

import bpy  # isort: skip  # first: what follows needs it
from demo_renders import areas_seen, render_all, render_frame

PACKAGE = "bl_ext.user_default.maquette"
FRAMES_PER_TARGET = 16
"""Pictures of the strip, of each target; more would cost more than they show."""


@dataclass
class Demo:
    """What the parts of the demo share."""

    out: Path
    backend_python: Path
    home: Path
    steps: tuple[int, int]
    times: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say what begins, and note how long it took."""
        say(f"{what} …")
        start = time.monotonic()
        yield
        self.times[what] = time.monotonic() - start
        say(f"{what}: {self.times[what]:.1f} s")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--zip", type=Path, required=True)
    parser.add_argument("--room", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--backend-python", type=Path, required=True)
    parser.add_argument("--steps", type=int, nargs=2, default=(200, 200), metavar=("SHAPE", "COLOUR"))
    parser.add_argument("--targets", nargs="+", required=True, metavar="NAME")
    chosen = parser.parse_args()
    demo = Demo(chosen.out, chosen.backend_python, chosen.out / "backend", tuple(chosen.steps))
    demo.out.mkdir(parents=True, exist_ok=True)
    if demo.home.exists():  # an interrupted demo's job would be finished first, for minutes and unseen
        shutil.rmtree(demo.home)
    with demo.timed("Install the extension"):
        install(chosen.zip, demo)
    bpy.ops.wm.open_mainfile(filepath=str(chosen.room))
    with demo.timed("Start the backend"):
        bpy.ops.maquette.start_backend()
    try:
        prompts = json.loads((chosen.room.parent / "prompts.json").read_text())
        refine_room(demo, {name: prompts[name] for name in chosen.targets})
    finally:
        stop_backend()
    (demo.out / "times.json").write_text(json.dumps(demo.times))
    return 0


def install(archive: Path, demo: Demo) -> None:
    """Install and enable the zip as an artist would, and point it at the backend."""
    bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    preferences = bpy.context.preferences.addons[PACKAGE].preferences
    preferences.backend_python = str(demo.backend_python)
    preferences.backend_home = str(demo.home)
    preferences.connection_file = str(demo.home / "connection.json")


def addon_pump() -> Any:
    """The installed extension's running state."""
    return sys.modules[f"{PACKAGE}.pump"].runtime()


def stop_backend() -> None:
    """End the backend and wait for it: it writes its last checkpoint."""
    process = addon_pump().backend
    if process is not None:
        bpy.ops.maquette.stop_backend()
        process.wait(timeout=60)


def refine_room(demo: Demo, prompts: dict[str, dict[str, Any]]) -> None:
    """Before pictures, the job, after pictures, the file."""
    targets = list(prompts)
    choose_targets(prompts, demo.steps)
    (demo.out / "scene.json").write_text(json.dumps({"areas": areas_seen(targets), "sharing": sharing_mesh(targets)}))
    with demo.timed("Render the room before"):
        render_all(demo.out, targets, "before")
    observer = Observer(demo.out / "frames", targets)
    addon_pump().observers.append(observer)
    with demo.timed("Refine"):
        if bpy.ops.maquette.refine() != {"FINISHED"}:
            raise SystemExit(f"The refinement did not finish: {addon_pump().last_error}")
        say("")
    with demo.timed("Render the room after"):
        render_all(demo.out, targets, "after")
    bpy.ops.wm.save_as_mainfile(filepath=str(demo.out / "room_refined.blend"), compress=True, copy=True)


def sharing_mesh(targets: Sequence[str]) -> list[list[str]]:
    """The targets that are one mesh twice or more, as groups of names."""
    groups: dict[str, list[str]] = {}
    for name in targets:
        groups.setdefault(bpy.data.objects[name].data.name, []).append(name)
    return [names for names in groups.values() if len(names) > 1]


def choose_targets(prompts: dict[str, dict[str, Any]], steps: tuple[int, int]) -> None:
    """Fill the panel's list as an artist would, by name, prompt, mode and strength."""
    settings = bpy.context.scene.maquette
    for name, wanted in prompts.items():
        target = settings.targets.add()
        target.object = bpy.data.objects[name]
        target.prompt, target.mode, target.strength = wanted["prompt"], wanted["mode"], wanted["strength"]
    settings.cameras = "BOTH"
    settings.geometry_steps, settings.appearance_steps = steps
    settings.preview_every = max(1, sum(steps) // FRAMES_PER_TARGET)


class Observer:
    """Draws the progress bar, and takes a picture of each preview."""

    def __init__(self, folder: Path, targets: list[str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.png"):
            old.unlink()
        self._folder = folder
        self._seen: dict[str, int] = {}
        self._targets = targets
        self._drawn_at = 0.0

    def __call__(self, job: Any) -> None:
        self._draw(job)
        for name in self._targets:
            preview = bpy.data.objects.get(f"{name} (Maquette preview)")
            if preview is not None and job.previews != self._seen.get("count"):
                self._picture(name, preview, job)
        self._seen["count"] = job.previews

    def _picture(self, name: str, preview: bpy.types.Object, job: Any) -> None:
        running = job.progress.subject_id if job.progress is not None else ""
        if preview.maquette.subject_id != running:
            return
        number = self._seen[name] = self._seen.get(name, -1) + 1
        render_frame(self._folder / f"{name}_{number:03d}.png", name, self._targets)

    def _draw(self, job: Any) -> None:
        done = job.progress
        if done is None or time.monotonic() - self._drawn_at < 0.2:
            return
        self._drawn_at = time.monotonic()
        filled = round(30 * done.step / max(done.steps, 1))
        bar = "█" * filled + "·" * (30 - filled)
        left = f"{int(done.eta_secs) // 60}:{int(done.eta_secs) % 60:02d} left"
        line = f"{bar} {done.step}/{done.steps} {done.stage}, loss {done.loss:.3g}, {left}"
        # a terminal redraws one line; a log gets a line now and then
        if sys.stdout.isatty():
            sys.stdout.write(f"\r  {line:<100}")
        elif done.step - self._seen.get("line", -50) >= 50:
            self._seen["line"] = done.step
            sys.stdout.write(f"  {line}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
