"""``make demo``: the whole of Maquette on a small room, from the extension's zip to pictures in ``out/demo``."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from demo_pictures import Area, before_after, room_before_after, same_mesh, save_strip
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
ROOM = ROOT / "examples" / "room" / "room.blend"
BLENDER = ROOT / ".venv-blender-4.5" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs=2, default=(200, 200), metavar=("SHAPE", "COLOUR"))
    parser.add_argument("--targets", nargs="+", metavar="NAME", help="only these of the room's pieces")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo", help="where the pictures go")
    chosen = parser.parse_args()
    wanted = choose(json.loads((ROOM.parent / "prompts.json").read_text()), chosen.targets)
    start = time.monotonic()
    archive = build_extension()
    out: Path = chosen.out.resolve()
    command = [str(BLENDER), str(ROOT / "tools" / "demo_in_blender.py"), "--zip", str(archive), "--room", str(ROOM)]
    command += ["--out", str(out), "--backend-python", sys.executable, "--steps", *map(str, chosen.steps)]
    with MemoryWatch() as watch:
        status = subprocess.run([*command, "--targets", *wanted]).returncode
    if status != 0:
        sys.stderr.write(
            f"The demo stopped in Blender with status {status}: the reason stands above; "
            f"the backend's log is under {out / 'backend'}.\n"
        )
        return 1
    secs = time.monotonic() - start
    (out / "summary.json").write_text(json.dumps({"secs": secs, "peak_bytes": watch.peak_bytes}))
    report(out, compose(out, wanted), secs, watch.peak_bytes)
    return 0


def choose(prompts: dict[str, dict[str, object]], names: list[str] | None) -> dict[str, str]:
    """Names and prompts of the targets, in the file's order. Raises SystemExit if the room lacks a name."""
    unknown = set(names or ()) - set(prompts)
    if unknown:
        raise SystemExit(f"The room has no {', '.join(sorted(unknown))}; it has {', '.join(prompts)}.")
    return {name: str(wanted["prompt"]) for name, wanted in prompts.items() if names is None or name in names}


def build_extension() -> Path:
    """The zip, by Blender's own builder, with this platform's wheels."""
    start = time.monotonic()
    archive = ROOT / "dist" / "maquette-demo.zip"
    builder = [str(BLENDER), str(ROOT / "tools" / "build_extension.py"), "--platform", "current"]
    done = subprocess.run([*builder, "--output", str(archive)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit("The extension could not be built: the builder's words stand above. Run `make extension`.")
    sys.stdout.write(f"Build the extension: {time.monotonic() - start:.1f} s, {archive.stat().st_size / 1e6:.1f} MB\n")
    return archive


class MemoryWatch:
    """The peak of what this process and everything it started hold in memory together.

    The backend is a session of its own but remains a child of the Blender process that started it.
    """

    def __init__(self, every_secs: float = 0.5) -> None:
        self.peak_bytes = 0
        self._every_secs = every_secs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(self._every_secs):
            self.peak_bytes = max(self.peak_bytes, sum(_resident(one) for one in [me, *me.children(recursive=True)]))


def _resident(process: psutil.Process) -> int:
    """Bytes, 0 for a process that has just ended."""
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def compose(out: Path, prompts: dict[str, str]) -> list[Path]:
    """Before and after of the room and of each target, one mesh under several prompts, and the strip."""

    def opened(name: str, when: str) -> Image.Image:
        return Image.open(out / f"{name}_{when}.png").convert("RGB")

    seen = json.loads((out / "scene.json").read_text())
    areas = {name: Area(*edges) for name, edges in seen["areas"].items()}
    sheets = {"room_before_after": room_before_after(opened("room", "before"), opened("room", "after"), prompts, areas)}
    for name, prompt in prompts.items():
        sheets[f"{name.lower()}_before_after"] = before_after(opened(name, "before"), opened(name, "after"), prompt)
    for names in seen["sharing"]:
        afters = {prompts[name]: opened(name, "after") for name in names}
        sheets[f"{names[0].lower()}_same_mesh"] = same_mesh(opened(names[0], "before"), afters)
    for name, sheet in sheets.items():
        sheet.save(out / f"{name}.png")
    strip = out / "previews.gif"
    save_strip([sorted((out / "frames").glob(f"{name}_*.png")) for name in prompts], strip)
    return [*(out / f"{name}.png" for name in sheets), strip]


def report(out: Path, pictures: list[Path], secs: float, peak_bytes: int) -> None:
    """What was done, in seconds and megabytes, and where to look."""
    times: dict[str, float] = json.loads((out / "times.json").read_text())
    lines = ["", "Done."]
    lines += [f"  {what:<28} {took:7.1f} s" for what, took in times.items()]
    lines += [f"  {'Everything':<28} {secs:7.1f} s", f"  {'Peak memory, all processes':<28} {peak_bytes / 1e6:7.0f} MB"]
    for path in [*pictures, out / "room_refined.blend"]:
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        lines.append(f"  {shown}  {path.stat().st_size / 1e6:.1f} MB")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
