"""``make examples``: five coarse pieces refined with the controls of the shape, measured, and pictured before and after.

Runs in the Blender environment: real jobs of a real backend with the starter prior. Writes one picture each and a table
into ``docs/examples``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="maquette-examples-")  # before bpy: nothing of the user's

import bpy  # isort: skip  # first: what follows needs it
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "examples" / "room")]
from pieces import PIECES, Box, Part, parts_mesh  # noqa: E402
from shape_measures import Measures, measure, mirror_error  # noqa: E402
from shape_pictures import picture  # noqa: E402

PACKAGE = "bl_ext.user_default.maquette"
STILL = 0.03
"""How far from the masked part the rest begins, metres: a cell of the grid, and a little."""
SETTINGS = {"geometry_steps": 100, "appearance_steps": 0, "views_per_step": 4, "preview_every": 0, "grid_resolution": 64}


@dataclass(frozen=True)
class Example:
    """One job."""

    name: str
    prompt: str
    told: str
    """What is set, in the panel's words."""
    target: dict[str, Any]
    """The same as settings of the target."""
    parts: tuple[Part, ...]
    voxel: float = 0.0
    """Edge of the voxels that weld the parts into one surface, metres; 0 leaves them as they are."""
    moving_part: int | None = None
    """The part whose vertices are in the vertex group that is the mask; the others stay in place."""


EXAMPLES = (
    Example(
        "chair",
        "a brown wooden chair",
        "Keep Topology, Strength 5 %, Symmetry X, Flat Bottom",
        {"mode": "keep_topology", "strength": 0.5, "symmetry": (True, False, False), "flat_bottom": True},
        PIECES["Chair"].parts,
        voxel=0.035,
    ),
    Example("armchair", "a red armchair", "Remesh, Strength 5 %", {"strength": 0.5}, PIECES["Armchair"].parts),
    Example(
        "table",
        "a beige wooden table",
        "Remesh, Strength 5 %, Symmetry X and Y, Flat Bottom",
        {"strength": 0.5, "symmetry": (True, True, False), "flat_bottom": True},
        PIECES["Table"].parts,
    ),
    Example(
        "lamp",
        "a yellow floor lamp",
        "Remesh, Strength 8 %, Mask: a vertex group of the shade, Feather 3 %",
        {"strength": 0.8, "mask_source": "GROUP", "mask_group": "Shade", "mask_feather": 3.0},
        PIECES["Lamp"].parts,
        moving_part=2,
    ),
    Example(
        "cabinet",
        "a green wooden cabinet with drawers",
        "Remesh, Strength 2 %, Stay Close 0.8, Triangles 6,000",
        {"strength": 0.2, "stay_close": 0.8, "triangle_budget": 6000},
        PIECES["Cabinet"].parts,
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[one.name for one in EXAMPLES], help="fewer than all")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "examples")
    chosen = parser.parse_args()
    wanted = [one for one in EXAMPLES if chosen.only is None or one.name in chosen.only]
    out: Path = chosen.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="maquette-examples-") as folder:
        install(Path(folder))
        bpy.ops.maquette.start_backend()
        try:
            for example in wanted:
                put_row(out / "README.md", row(example, *run(example, out)))
        finally:
            stop_backend()
    return 0


def install(folder: Path) -> None:
    """The extension from its zip, and a backend of its own."""
    archive = folder / "maquette.zip"
    builder = [sys.executable, str(ROOT / "tools" / "build_extension.py"), "--platform", "current"]
    subprocess.run([*builder, "--output", str(archive)], check=True, capture_output=True)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.extensions.package_install_files(filepath=str(archive), repo="user_default", enable_on_install=True)
    preferences = bpy.context.preferences.addons[PACKAGE].preferences
    place = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    preferences.backend_python = str(ROOT / ".venv-backend" / place)
    preferences.backend_home = str(folder / "backend")
    preferences.connection_file = str(folder / "backend" / "connection.json")


def stop_backend() -> None:
    """End the backend and wait for it."""
    process = sys.modules[f"{PACKAGE}.pump"].runtime().backend
    if process is not None:
        bpy.ops.maquette.stop_backend()
        process.wait(timeout=60)


def run(example: Example, out: Path) -> tuple[Measures, float, str]:
    """Refine, picture, measure: the measures, the job's seconds, and what else was asked for and came out."""
    start = block_out(example)
    settings = bpy.context.scene.maquette
    settings.targets.clear()
    target = settings.targets.add()
    target.object, target.prompt = start, example.prompt
    for name, value in example.target.items():
        setattr(target, name, value)
    for name, value in SETTINGS.items():
        setattr(settings, name, value)
    begun = time.monotonic()
    if bpy.ops.maquette.refine() != {"FINISHED"}:
        raise SystemExit(f"{example.name} was not refined: {sys.modules[f'{PACKAGE}.pump'].runtime().last_error}")
    secs = time.monotonic() - begun
    result = start.maquette.result
    picture(out / f"{example.name}.jpg", start, result)
    found = measure(start.data, result.data, () if example.voxel else example.parts)
    return found, secs, kept(example, result, found)


def block_out(example: Example) -> bpy.types.Object:
    """The coarse piece."""
    mesh = parts_mesh(example.name, example.parts)
    thing = bpy.data.objects.new(example.name, mesh)
    bpy.context.scene.collection.objects.link(thing)
    bpy.context.view_layer.objects.active = thing
    if example.voxel:
        weld = thing.modifiers.new("Weld", "REMESH")
        weld.mode, weld.voxel_size = "VOXEL", example.voxel
        bpy.ops.object.modifier_apply(modifier="Weld")
        stand_on_the_floor(thing.data)
    if example.moving_part is not None:
        before = len(parts_mesh("Before", example.parts[: example.moving_part]).vertices)
        count = len(parts_mesh("Part", example.parts[example.moving_part : example.moving_part + 1]).vertices)
        thing.vertex_groups.new(name="Shade").add(range(before, before + count), 1.0, "REPLACE")
    return thing


def stand_on_the_floor(mesh: bpy.types.Mesh) -> None:
    """Voxels leave a surface a hair away from the floor, and from its own mirror image."""
    lowest = min(vertex.co.z for vertex in mesh.vertices)
    middle = (min(vertex.co.x for vertex in mesh.vertices) + max(vertex.co.x for vertex in mesh.vertices)) / 2
    for vertex in mesh.vertices:
        vertex.co.x, vertex.co.z = vertex.co.x - middle, vertex.co.z - lowest


def kept(example: Example, result: bpy.types.Object, found: Measures) -> str:
    """What the controls promise, measured."""
    said: list[str] = []
    places = found.places
    for axis, on in enumerate(example.target.get("symmetry", ())):
        if on:
            said.append(f"mirror across {'XYZ'[axis]} within {mirror_error(result.data, axis):.2f} %")
    if example.target.get("flat_bottom"):
        said.append(f"lowest point {1000 * places[:, 2].min():+.2f} mm")
    if example.moving_part is not None:
        part = example.parts[example.moving_part]
        below = part.low[2] if isinstance(part, Box) else part.foot[2]
        reach = example.target["strength"] * 0.1 * np.ptp(places, axis=0).max()  # the part itself may come down so far
        still = found.drifts[places[:, 2] < below - reach - STILL]
        said.append(f"below the masked part and its reach: mean {still.mean():.2f} %, at most {still.max():.2f} %")
    if "triangle_budget" in example.target:
        said.append(f"{found.triangles:,} of {example.target['triangle_budget']:,} triangles")
    return "; ".join(said) or "—"


def row(example: Example, found: Measures, secs: float, said: str) -> str:
    """A line of the table."""
    return (
        f"| {example.name} | {example.told} | {found.chamfer:.2f} | {found.f_score:.3f} | {found.normals:.3f} "
        f"| {np.mean(found.drifts):.2f} / {found.drifts.max():.2f} | {found.open_edges} | {found.start_triangles:,} → "
        f"{found.triangles:,} | {secs:.0f} | {said} |"
    )


def put_row(path: Path, line: str) -> None:
    """Put a row where the table has that piece, else at the table's end; the words around it are written by hand."""
    sys.stdout.write(line + "\n")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    head = next((number for number, one in enumerate(lines) if one.startswith("|---")), None)
    if head is None:
        raise SystemExit(f"{path} has no table to put the row into.")
    end = next((number for number in range(head + 1, len(lines)) if not lines[number].startswith("|")), len(lines))
    name = line.split("|")[1]
    place = next((number for number in range(head + 1, end) if lines[number].split("|")[1] == name), end)
    lines[place : place + (place < end)] = [line]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
