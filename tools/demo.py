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
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out" / "demo"
ROOM = ROOT / "examples" / "room" / "room.blend"
BLENDER = ROOT / ".venv-blender-4.5" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
CAPTION = 34
"""Height of a picture's caption, pixels."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs=2, default=(200, 200), metavar=("SHAPE", "COLOUR"))
    chosen = parser.parse_args()
    start = time.monotonic()
    archive = build_extension()
    watch = MemoryWatch()
    command = [str(BLENDER), str(ROOT / "tools" / "demo_in_blender.py"), "--zip", str(archive), "--room", str(ROOM)]
    command += ["--out", str(OUT), "--backend-python", sys.executable, "--steps", *map(str, chosen.steps)]
    with watch:
        status = subprocess.run(command).returncode
    if status != 0:
        sys.stderr.write(
            f"The demo stopped in Blender with status {status}: the reason stands above; the backend's log is under {OUT / 'backend'}.\n"
        )
        return 1
    secs = time.monotonic() - start
    (OUT / "summary.json").write_text(json.dumps({"secs": secs, "peak_bytes": watch.peak_bytes}))
    pictures = compose(json.loads((ROOM.parent / "prompts.json").read_text()))
    report(pictures, secs, watch.peak_bytes)
    return 0


def build_extension() -> Path:
    """The zip, by Blender's own builder, with this platform's wheels."""
    start = time.monotonic()
    archive = ROOT / "dist" / "maquette-demo.zip"
    command = [str(BLENDER), str(ROOT / "tools" / "build_extension.py"), "--platform", "current", "--output", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True)
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


def compose(prompts: dict[str, dict[str, str]]) -> list[Path]:
    """Before and after side by side, one picture per target and one of the room; and the strip of previews."""
    made = []
    for name, wanted in {**prompts, "room": {"prompt": "the room"}}.items():
        path = OUT / f"{name.lower()}_before_after.png"
        side_by_side(OUT / f"{name}_before.png", OUT / f"{name}_after.png", wanted["prompt"]).save(path)
        made.append(path)
    strip = OUT / "previews.gif"
    save_strip(sorted((OUT / "frames").glob("*.png")), list(prompts), strip)
    return [*made, strip]


def side_by_side(before: Path, after: Path, caption: str) -> Image.Image:
    """Two pictures of one size, with a caption under each."""
    pictures = [Image.open(path).convert("RGB") for path in (before, after)]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (2 * width, height + CAPTION), (24, 24, 24))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(18)
    for index, (picture, words) in enumerate(zip(pictures, ("before", f"after: {caption}"), strict=True)):
        sheet.paste(picture, (index * width, 0))
        draw.text((index * width + 10, height + 6), words, fill=(230, 230, 230), font=font)
    return sheet


def save_strip(frames: list[Path], names: list[str], path: Path) -> None:
    """An animation: all targets beside each other, each morphing at its own pace."""
    per_target = [[Image.open(frame).convert("RGB") for frame in frames if f"_{name}_" in frame.name] for name in names]
    per_target = [pictures for pictures in per_target if pictures]
    if not per_target:
        raise SystemExit("No preview arrived, so there is no strip: see the backend's log.")
    size = per_target[0][0].size
    sheets = []
    for number in range(max(map(len, per_target))):
        sheet = Image.new("RGB", (size[0] * len(per_target), size[1]))
        for index, pictures in enumerate(per_target):
            sheet.paste(pictures[min(number, len(pictures) - 1)], (index * size[0], 0))
        sheets.append(sheet)
    sheets[0].save(path, save_all=True, append_images=sheets[1:], duration=[160] * (len(sheets) - 1) + [1500], loop=0)


def report(pictures: list[Path], secs: float, peak_bytes: int) -> None:
    """What was done, in seconds and megabytes, and where to look."""
    times: dict[str, float] = json.loads((OUT / "times.json").read_text())
    lines = ["", "Done."]
    lines += [f"  {what:<28} {took:7.1f} s" for what, took in times.items()]
    lines += [f"  {'Everything':<28} {secs:7.1f} s", f"  {'Peak memory, all processes':<28} {peak_bytes / 1e6:7.0f} MB"]
    for path in [*pictures, OUT / "room_refined.blend"]:
        lines.append(f"  {path.relative_to(ROOT)}  {path.stat().st_size / 1e6:.1f} MB")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
