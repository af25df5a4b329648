"""Time that Blender's main thread spends on one preview (50k triangles, a 1024² texture), and on four maps of 2048² as
they arrive, in real Blender.

Run by a Python that has bpy; prints a JSON list of rows. Three kinds of preview, as a job sends them: positions in
place (keep topology), a new topology (remesh), each with the texture.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["BLENDER_USER_RESOURCES"] = tempfile.mkdtemp(prefix="maquette-bench-")
import bpy
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "bl_ext.user_default.maquette"
TRIANGLES, TEXTURE_SIDE, PREVIEWS = 50_000, 1024, 40
MAPS_SIDE = 2048
MAX_STALL_MILLIS = 100.0
TOPOLOGY_EVERY = 4
"""A remesh changes its triangles now and then, not at every preview."""


def install() -> None:
    """Build the extension and install it, as an artist has it."""
    target = Path(tempfile.mkdtemp()) / "maquette.zip"
    command = [sys.executable, str(ROOT / "tools" / "build_extension.py"), "--platform", "current", "--output"]
    subprocess.run([*command, str(target)], check=True, stdout=sys.stderr)
    bpy.ops.extensions.package_install_files(filepath=str(target), repo="user_default", enable_on_install=True)


def surface(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A bent sheet of 2·side² triangles: positions, triangles, corner UVs."""
    u, v = np.meshgrid(np.linspace(0, 1, side + 1), np.linspace(0, 1, side + 1), indexing="ij")
    positions = np.stack([u, v, np.sin(6 * u) * 0.1], axis=-1).reshape(-1, 3).astype(np.float32)
    corner = (np.arange(side)[:, None] * (side + 1) + np.arange(side)).ravel()
    lower = np.stack([corner, corner + side + 1, corner + side + 2], axis=1)
    upper = np.stack([corner, corner + side + 2, corner + 1], axis=1)
    triangles = np.concatenate([lower, upper]).astype(np.int32)
    return positions, triangles, positions[triangles][..., :2].copy()


def measure() -> list[float]:
    """Milliseconds of each preview, as the pump shows it, the first (which makes the object) included."""
    from importlib import import_module

    refined = import_module(f"{PACKAGE}.refined")
    writing = import_module(f"{PACKAGE}.scene_writing")
    messages = import_module(f"{PACKAGE}._protocol.messages")
    bpy.ops.mesh.primitive_cube_add()
    target = bpy.context.object
    rng = np.random.default_rng(0)
    positions, triangles, uvs = surface(int(np.sqrt(TRIANGLES / 2)))
    found: list[float] = []
    for number in range(PREVIEWS):
        moved = positions + rng.normal(scale=0.001, size=positions.shape).astype(np.float32)
        texture = rng.integers(0, 255, (TEXTURE_SIDE, TEXTURE_SIDE, 3), dtype=np.uint8)
        given = {"positions": moved, "triangles": triangles, "corner_uvs": uvs, "texture": texture}
        preview = messages.Preview("0" * 32, "1" * 32, "geometry", number, number // TOPOLOGY_EVERY)
        frame = refined.frame_from(preview, given)  # on the connection's thread, so it is not counted
        began = time.perf_counter()
        writing.show_preview(bpy.context, target, frame)
        found.append((time.perf_counter() - began) * 1000)
    return found


def measure_maps() -> tuple[float, float, float]:
    """Milliseconds: the longest that the main thread was away while four maps arrived, until a material has them; the
    processor time of the longest step; and of the whole arrival.

    Away is the time between two looks at the clock: what it did itself, and what it waited for the other thread.
    """
    from importlib import import_module

    arriving = import_module(f"{PACKAGE}.map_arrival")
    coloring = import_module(f"{PACKAGE}.coloring")
    refined = import_module(f"{PACKAGE}.refined")
    maps = import_module(f"{PACKAGE}.surface_maps").SurfaceMaps(painted_maps(MAPS_SIDE))
    positions, triangles, uvs = surface(16)
    given = refined.Surface(positions, triangles, uvs, maps=maps)
    order = arriving.Order("Bench", (1001,))
    began = time.perf_counter()
    coming = arriving.Arrival("0" * 32, (refined.Refined("1" * 32, True, given),), {"1" * 32: order}, None)
    longest = busiest = 0.0
    done = None
    before = time.perf_counter()
    while done is None:
        busy = time.thread_time()
        done = coming.step()
        if done is not None:
            coloring.make_material(bpy.data.meshes.new("Bench"), "Bench", done[0].surface)
        busiest = max(busiest, time.thread_time() - busy)
        time.sleep(0.001)
        now = time.perf_counter()
        longest, before = max(longest, now - before), now
    return longest * 1000, busiest * 1000, (time.perf_counter() - began) * 1000


def painted_maps(side: int) -> dict[str, np.ndarray]:
    """Four maps that compress as painted ones do: large shapes with grain."""
    rng = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    waves = np.stack([np.sin(x / 71), np.cos(y / 93), np.sin((x + y) / 57)], axis=-1) * 90 + 128
    color = np.clip(waves + rng.normal(scale=4, size=waves.shape), 0, 255).astype(np.uint8)
    return {"COLOR": color, "ROUGHNESS": color[..., 0].copy(), "METALLIC": color[..., 1].copy(), "NORMAL": color[::-1].copy()}


def map_row(longest: float, busiest: float, whole: float) -> dict[str, object]:
    """The budget's line."""
    return {
        "name": "appearance.maps_stall_ms",
        "value": round(longest, 1),
        "unit": "ms",
        "target": f"≤ {MAX_STALL_MILLIS:g}",
        "holds": longest <= MAX_STALL_MILLIS,
        "how": f"four {MAPS_SIDE}² maps from bytes to a material, {whole / 1000:.1f} s in all; the longest that Blender's "
        f"main thread was away, of which {busiest:.0f} ms processor time; Blender {bpy.app.version_string}",
    }


def measure_check() -> list[float]:
    """Milliseconds of processor time of every step of Check Views before it has looked at a tenth of 100k quads."""
    from importlib import import_module

    looked_at, coverage = import_module(f"{PACKAGE}.looked_at"), import_module(f"{PACKAGE}.coverage")
    recipe = import_module(f"{PACKAGE}._protocol.recipe")
    bpy.ops.mesh.primitive_grid_add(x_subdivisions=316, y_subdivisions=316)
    thing = bpy.context.object
    spent = [time.thread_time()]
    work = looked_at.shaping(looked_at.read(bpy.context, thing))
    spent.append(time.thread_time())
    while True:
        try:
            next(work)
            spent.append(time.thread_time())
        except StopIteration as end:
            spent.append(time.thread_time())
            shape = end.value
            break
    looking = coverage.looking(shape, coverage.views_of(recipe.CameraRig(), shape))
    for _face in range(len(shape.areas) // 10):
        next(looking)
        spent.append(time.thread_time())
    return (np.diff(spent) * 1000).tolist()


def check_row(steps: list[float]) -> dict[str, object]:
    """The budget's line."""
    longest = max(steps)
    return {
        "name": "appearance.check_views_ms",
        "value": round(longest, 1),
        "unit": "ms",
        "target": f"≤ {MAX_STALL_MILLIS:g}",
        "holds": longest <= MAX_STALL_MILLIS,
        "how": f"processor time of Check Views' longest step on 100k quads, {sum(steps) / 1000:.1f} s in {len(steps)} steps; "
        f"Blender {bpy.app.version_string}",
    }


def rows(millis: list[float]) -> list[dict[str, object]]:
    """The budget's two lines."""
    how = (
        f"{TRIANGLES} triangles, {TEXTURE_SIDE}² texture, {PREVIEWS} previews, every {TOPOLOGY_EVERY}th a new topology"
    )
    limits = (("typical", float(np.median(millis)), 16.0), ("worst", max(millis), 50.0))
    return [
        {
            "name": f"blender.preview_ms_{name}",
            "value": round(value, 2),
            "unit": "ms",
            "target": f"≤ {limit:g}",
            "holds": value <= limit,
            "how": f"{how}; Blender {bpy.app.version_string}",
        }
        for name, value, limit in limits
    ]


if __name__ == "__main__":
    install()
    print(json.dumps([*rows(measure()), map_row(*measure_maps()), check_row(measure_check())], ensure_ascii=False))
    sys.stdout.flush()
