"""``make scene-examples``: a room of six plain pieces painted in place by one job, pictured before and after in two lights.

Runs in the Blender environment: one texture-only job of a real backend with the starter prior, all four maps, the scene's
own cameras. Writes ``docs/examples/scene.jpg`` and prints what it took; the file and its pictures are kept in ``out/scene``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from shape_examples import PACKAGE, ROOT, install, stop_backend  # isort: skip  # first: a Blender with nothing of the user's

import bpy  # isort: skip  # before what needs it
import scene_building
from demo_pictures import captioned, tiled
from demo_renders import kept, quiet
from PIL import Image

SAMPLES = 12
MOST_BYTES = 400_000
SCENE_PROMPT = "a living room with a sofa, a wooden table, a chair, a cabinet, a floor lamp and a vase"
LIGHTS: tuple[tuple[str, Callable[[], None]], ...] = (
    ("soft sky", scene_building.sky),
    ("warm evening sun", scene_building.evening),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=40, help="colour steps of each piece")
    parser.add_argument("--scene-steps", type=int, default=8, help="steps with the whole room in view")
    parser.add_argument("--finish-steps", type=int, default=0)
    parser.add_argument("--texture", type=int, default=512, help="side of each texture, pixels")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "examples")
    chosen = parser.parse_args()
    work = ROOT / "out" / "scene"
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="maquette-scene-") as folder:
        install(Path(folder))
        pieces = scene_building.build()
        before = [picture(work / f"before_{number}.png", light) for number, (_name, light) in enumerate(LIGHTS)]
        bpy.ops.maquette.start_backend()
        try:
            secs = paint(pieces, chosen)
        finally:
            stop_backend()
    after = [picture(work / f"after_{number}.png", light) for number, (_name, light) in enumerate(LIGHTS)]
    bpy.ops.wm.save_as_mainfile(filepath=str(work / "scene.blend"), compress=True, copy=True)
    size = save_sheet(chosen.out.resolve() / "scene.jpg", before, after)
    sys.stdout.write(f"{len(pieces)} pieces, {secs:.0f} s from Refine to the scene; scene.jpg {size / 1000:.0f} kB\n")
    return 0


def paint(pieces: Sequence[bpy.types.Object], chosen: argparse.Namespace) -> float:
    """One job, by the add-on's own operators, as an artist would set it; its seconds."""
    settings, look = bpy.context.scene.maquette, bpy.context.scene.maquette_look
    for piece, wanted in zip(pieces, scene_building.PIECES, strict=True):
        target = settings.targets.add()
        target.object, target.prompt, target.mode = piece, wanted.prompt, "texture_only"
        target.paint.material = "pbr"
        settings.active_target = len(settings.targets) - 1
        bpy.ops.maquette.make_uvs()
    settings.cameras, settings.include_context = "BOTH", True
    settings.appearance_steps, settings.preview_every, settings.texture_size = chosen.steps, 0, str(chosen.texture)
    look.scene_prompt, look.scene_steps, look.finish_steps = SCENE_PROMPT, chosen.scene_steps, chosen.finish_steps
    begun = time.monotonic()
    if bpy.ops.maquette.refine() != {"FINISHED"}:
        raise SystemExit(f"The room was not painted: {sys.modules[f'{PACKAGE}.pump'].runtime().last_error}")
    return time.monotonic() - begun


def picture(path: Path, light: Callable[[], None]) -> Path:
    """The room as it is, by Cycles, in a light."""
    scene = bpy.context.scene
    light()
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising, scene.cycles.device = SAMPLES, True, "CPU"
    with kept(scene.render, filepath=str(path)), quiet():
        bpy.ops.render.render(write_still=True)
    return path


def save_sheet(path: Path, before: Sequence[Path], after: Sequence[Path]) -> int:
    """Two by two: lights from left to right, before above after; its bytes, at most ``MOST_BYTES``."""
    rows = (("before", before), ("after", after))
    pictures = [
        captioned(Image.open(one).convert("RGB"), f"{when}, {name}")
        for when, paths in rows
        for one, (name, _light) in zip(paths, LIGHTS, strict=True)
    ]
    sheet = tiled(pictures, columns=2)
    for quality in range(92, 50, -4):
        sheet.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= MOST_BYTES:
            break
    return path.stat().st_size


if __name__ == "__main__":
    sys.exit(main())
