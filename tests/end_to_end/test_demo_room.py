"""The demo's room: what its builder makes, five kinds and a twin, each piece whole in every camera and hidden by none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import bpy
import numpy as np
import pytest
from bpy_extras.object_utils import world_to_camera_view
from mathutils import Vector

pytestmark = [pytest.mark.blender, pytest.mark.timeout(120)]

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "room"
PROMPTS = json.loads((FOLDER / "prompts.json").read_text(encoding="utf-8"))
TARGETS = sorted(PROMPTS)
MOST_FACES = 1000
"""A block-out has fewer."""
TWINS = ("Chair", "TwinChair")


@pytest.fixture
def room() -> bpy.types.Scene:
    bpy.ops.wm.open_mainfile(filepath=str(FOLDER / "room.blend"))
    return bpy.context.scene


def described() -> dict[str, tuple[str, bytes]]:
    """Each object's kind, and the numbers that make it: its transform, and its vertices or its lens."""
    found = {}
    for thing in bpy.data.objects:
        numbers = [value for row in thing.matrix_world for value in row]
        if thing.type == "MESH":
            numbers += [value for vertex in thing.data.vertices for value in vertex.co]
            numbers += [index for face in thing.data.polygons for index in face.vertices]
        if thing.type == "CAMERA":
            numbers.append(thing.data.lens)
        found[thing.name] = (thing.type, np.round(np.array(numbers), 4).tobytes())
    return found


@pytest.mark.skipif(bpy.app.version[:2] != (4, 5), reason="the file was written by Blender 4.5")
def test_the_room_is_what_its_builder_makes(room: bpy.types.Scene, tmp_path: Path) -> None:
    """Nothing that was not made from numbers is in the file."""
    kept = described()
    again = tmp_path / "again.blend"
    subprocess.run([sys.executable, str(FOLDER / "build_room.py"), str(again)], check=True, capture_output=True)
    bpy.ops.wm.open_mainfile(filepath=str(again))
    assert described() == kept
    assert not [image for image in bpy.data.images if image.source == "FILE"]
    assert not bpy.data.libraries


def test_five_kinds_and_one_mesh_twice(room: bpy.types.Scene) -> None:
    meshes = {name: bpy.data.objects[name].data for name in PROMPTS}
    assert len({mesh.name for mesh in meshes.values()}) >= 5
    assert meshes[TWINS[0]] == meshes[TWINS[1]]
    assert len({wanted["prompt"] for wanted in PROMPTS.values()}) == len(PROMPTS)
    assert {thing.name for thing in bpy.data.collections["Targets"].objects} == set(PROMPTS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_piece_is_coarse_and_colourless(room: bpy.types.Scene, name: str) -> None:
    mesh = bpy.data.objects[name].data
    assert 0 < len(mesh.polygons) < MOST_FACES
    assert [material.name for material in mesh.materials] == ["Clay"]
    assert not mesh.uv_layers
    assert min(vertex.co.z for vertex in mesh.vertices) == pytest.approx(0, abs=1e-5)  # stands on the floor


@pytest.mark.parametrize("name", TARGETS)
def test_every_camera_sees_the_whole_of_a_piece(room: bpy.types.Scene, name: str) -> None:
    thing = bpy.data.objects[name]
    cameras = [camera for camera in bpy.data.objects if camera.type == "CAMERA"]
    assert len(cameras) == 5
    for camera in cameras:
        for vertex in thing.data.vertices:
            seen = world_to_camera_view(room, camera, thing.matrix_world @ vertex.co)
            assert 0 < seen.x < 1, camera.name
            assert 0 < seen.y < 1, camera.name
            assert seen.z > 0, camera.name


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_hides_a_piece_in_the_rooms_picture(room: bpy.types.Scene, name: str) -> None:
    """Rays from the camera to points all over the piece meet nothing else on their way."""
    graph = bpy.context.evaluated_depsgraph_get()
    thing = bpy.data.objects[name]
    eye = room.camera.matrix_world.translation
    hidden = [point for point in points_on(thing) if not reaches(room, graph, eye, point, name)]
    assert hidden == []


def points_on(thing: bpy.types.Object) -> list[Vector]:
    """Vertices, and points within each face: coarse faces are large."""
    points = []
    for face in thing.data.polygons:
        corners = [thing.data.vertices[index].co for index in face.vertices]
        points += [face.center.lerp(corner, share) for corner in corners for share in (0.0, 0.5, 1.0)]
    return [thing.matrix_world @ point for point in points]


def reaches(scene: bpy.types.Scene, graph: bpy.types.Depsgraph, eye: Vector, point: Vector, name: str) -> bool:
    """Whether nothing but the piece itself lies between; a hair's breadth before the point, for it stands on the rug."""
    way = point - eye
    hit, _, _, _, found, _ = scene.ray_cast(graph, eye, way.normalized(), distance=way.length - 0.03)
    return not hit or found.name == name
