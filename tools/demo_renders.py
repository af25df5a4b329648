"""The pictures that the demo takes in Blender; every setting they need is put back."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bpy  # isort: skip  # first: it brings the two below with it
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

TARGET_SIZE, FRAME_SIZE = 400, 256
SAMPLES = 12


def render_all(out: Path, targets: Sequence[str], when: str) -> None:
    """The room as its scene has it, then each target by itself from its front right, by Cycles."""
    shape = bpy.context.scene.render
    with cycles(shape.resolution_x, shape.resolution_y):
        render(out / f"room_{when}.png")
    for name in targets:
        with cycles(TARGET_SIZE, TARGET_SIZE), alone(name, targets), looking_at(name):
            render(out / f"{name}_{when}.png")


def render_frame(path: Path, name: str, targets: Sequence[str]) -> None:
    """A target's preview by itself, quickly."""
    with workbench(FRAME_SIZE), alone(name, targets), without_original(name), looking_at(name):
        render(path)


def areas_seen(targets: Sequence[str]) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each target in the room's picture, in shares of it, y down."""
    return {name: _area(bpy.data.objects[name]) for name in targets}


def _area(thing: bpy.types.Object) -> tuple[float, float, float, float]:
    scene = bpy.context.scene
    bpy.context.view_layer.update()
    points = [thing.matrix_world @ vertex.co for vertex in thing.data.vertices]
    seen = [world_to_camera_view(scene, scene.camera, point) for point in points]
    across, up = [point.x for point in seen], [point.y for point in seen]
    return min(across), 1 - max(up), max(across), 1 - min(up)


def render(path: Path) -> None:
    bpy.context.scene.render.filepath = str(path)
    with quiet():
        bpy.ops.render.render(write_still=True)


@contextmanager
def kept(owner: object, **wanted: object) -> Iterator[None]:
    """Set attributes, and put back what they were."""
    before = {name: getattr(owner, name) for name in wanted}
    for name, value in wanted.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)


@contextmanager
def cycles(width: int, height: int) -> Iterator[None]:
    """Path tracing at a few samples, denoised."""
    scene = bpy.context.scene
    with (
        kept(scene.render, engine="CYCLES", resolution_x=width, resolution_y=height, filepath=""),
        kept(scene.cycles, samples=SAMPLES, use_denoising=True, device="CPU"),
    ):
        yield


@contextmanager
def workbench(size: int) -> Iterator[None]:
    """A quick solid view with the previews' colours."""
    scene = bpy.context.scene
    with (
        kept(scene.render, engine="BLENDER_WORKBENCH", resolution_x=size, resolution_y=size, filepath=""),
        kept(scene.display.shading, color_type="TEXTURE", light="STUDIO"),
        kept(scene.view_settings, view_transform="Standard", look="None", exposure=0.5),
    ):
        yield


@contextmanager
def alone(name: str, targets: Sequence[str]) -> Iterator[None]:
    """Without the other targets and what became of them; the room stays."""
    others = [bpy.data.objects[other] for other in targets if other != name]
    previews = [bpy.data.objects.get(f"{other.name} (Maquette preview)") for other in others]
    results = [other.maquette.result for other in others]
    with ExitStack() as all_of_them:
        for thing in [*others, *previews, *results]:
            if thing is not None:
                all_of_them.enter_context(kept(thing, hide_render=True))
        yield


@contextmanager
def without_original(name: str) -> Iterator[None]:
    """A preview hides its original in the viewport only, so that the artist's own renders stay theirs; not so here."""
    with kept(bpy.data.objects[name], hide_render=True):
        yield


@contextmanager
def looking_at(name: str) -> Iterator[None]:
    """A camera of this picture's own, to the front right of an object, that frames it."""
    thing = bpy.data.objects[name]
    corners = [thing.matrix_world @ Vector(corner) for corner in thing.bound_box]
    middle = sum(corners, Vector()) / 8
    radius = max((corner - middle).length for corner in corners)
    direction = (thing.matrix_world.to_3x3() @ Vector((0.55, -1.0, 0.0))).normalized() + Vector((0, 0, 0.45))
    camera = bpy.data.objects.new("Demo camera", bpy.data.cameras.new("Demo camera"))
    camera.location = middle + direction.normalized() * radius * 3.4
    camera.rotation_euler = (middle - camera.location).to_track_quat("-Z", "Y").to_euler()
    camera.data.lens = 50.0
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    try:
        with kept(scene, camera=camera):
            yield
    finally:
        bpy.data.cameras.remove(camera.data)


@contextmanager
def quiet() -> Iterator[None]:
    """Blender's own lines about each rendered tile say nothing here."""
    sys.stdout.flush()
    shown = os.dup(1)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    try:
        yield
    finally:
        os.dup2(shown, 1)
        os.close(shown)
        os.close(nothing)
