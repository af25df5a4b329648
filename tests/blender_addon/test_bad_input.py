"""Every bad input: a clear error with its code and remedy, in the report and the panel, and the scene unchanged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon
from small_backend import SmallBackend

pytestmark = pytest.mark.blender


def _vertices_only() -> None:
    scenes.add_target(scenes.mesh_object("Cloud", [(0, 0, 0), (1, 0, 0), (0, 1, 0)], []), "a cloud")


def _empty() -> None:
    scenes.add_target(scenes.mesh_object("Nothing", [], []), "nothing")


def _coordinate(value: float) -> Callable[[], None]:
    def make() -> None:
        thing = scenes.cube()
        positions = np.zeros(24, np.float32)
        attribute = thing.data.attributes["position"].data
        attribute.foreach_get("vector", positions)
        positions[9] = value  # setting it on the vertex would clamp infinity
        attribute.foreach_set("vector", positions)

    return make


def _point() -> None:
    for vertex in scenes.cube().data.vertices:
        vertex.co = (1, 1, 1)


def _flat_scale() -> None:
    scenes.cube().scale = (1, 0, 1)


def _over_the_limit() -> None:
    modifier = scenes.cube().modifiers.new("Subdivision", "SUBSURF")
    modifier.subdivision_type = "SIMPLE"
    modifier.levels = 9  # 6 · 4⁹ quads


def _no_prompt() -> None:
    scenes.cube(prompt="   ")


def _invisible_prompt() -> None:
    scenes.cube(prompt="\u200b\u00a0")


def _long_prompt() -> None:
    scenes.cube(prompt="x" * 501)


def _very_long_prompt() -> None:
    scenes.cube(prompt="x" * 10_000)


def _unknown_prior() -> None:
    scenes.cube()
    bpy.context.scene.maquette.prior = "mona-lisa"


def _no_camera() -> None:
    scenes.cube()
    bpy.context.scene.maquette.cameras = "SCENE"


def _camera(kind: str = "PERSP", *, away: bool = False) -> Callable[[], None]:
    def make() -> None:
        _no_camera()
        bpy.ops.object.camera_add(location=(0, 0, 5), rotation=(3.1415926 if away else 0, 0, 0))
        bpy.context.object.data.type = kind

    return make


def _same_twice() -> None:
    scenes.add_target(scenes.cube(), "again")


def _not_a_mesh() -> None:
    bpy.ops.curve.primitive_bezier_circle_add()
    scenes.add_target(bpy.context.object, "a ring")


def _deleted() -> None:
    scenes.cube()
    bpy.context.scene.collection.objects.unlink(bpy.data.objects["Crate"])


CASES = {
    "no target": (lambda: None, "no_target", "Select meshes"),
    "empty mesh": (_empty, "empty_mesh", "Nothing"),
    "no faces": (_vertices_only, "no_faces", "Cloud"),
    "nan": (_coordinate(float("nan")), "not_finite", "vertex 3"),
    "infinite": (_coordinate(float("inf")), "not_finite", "vertex 3"),
    "zero size": (_point, "zero_size", "Crate"),
    "flattened by its scale": (_flat_scale, "zero_size", "Crate"),
    "over the triangle limit": (_over_the_limit, "too_many_triangles", "3,145,728"),
    "empty prompt": (_no_prompt, "empty_prompt", "Crate"),
    "invisible prompt": (_invisible_prompt, "empty_prompt", "Crate"),
    "long prompt": (_long_prompt, "invalid_recipe", "501"),
    "10,000 characters": (_very_long_prompt, "invalid_recipe", "“Crate” has 10000 characters; the limit is 500"),
    "unknown prior": (_unknown_prior, "unknown_prior", "starter"),
    "no camera": (_no_camera, "no_camera", "Orbit"),
    "orthographic camera": (_camera("ORTHO"), "no_camera", "perspective"),
    "no camera sees it": (_camera(away=True), "no_camera_sees", "Crate"),
    "twice the same": (_same_twice, "invalid_recipe", "Crate"),
    "a curve": (_not_a_mesh, "not_editable", "Convert"),
    "deleted": (_deleted, "target_gone", "Remove"),
}


@pytest.mark.parametrize("case", CASES)
def test_error_is_clear_and_the_scene_unchanged(addon: Addon, connected: SmallBackend, case: str) -> None:
    make, code, names = CASES[case]
    make()
    _assert_refused(addon, code, names)
    assert connected.jobs == {}


def _assert_refused(addon: Addon, code: str, names: str) -> None:
    before = scenes.state()
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.maquette.refine()
    error = addon("pump").runtime().last_error
    assert error.code == code
    assert error.remedy
    assert names in str(error)
    assert str(error) in str(caught.value)
    # NaN is not equal to itself, so states that hold one are compared as text
    assert str(scenes.differences(_texts(before), _texts(scenes.state()))) == "{}"


def _texts(state: dict) -> dict:
    return {name: {key: repr(value) for key, value in block.items()} for name, block in state.items()}


def test_linked_library_object(addon: Addon, connected: SmallBackend, tmp_path: Path) -> None:
    scenes.cube(prompt=None)
    library = tmp_path / "library.blend"
    bpy.data.libraries.write(str(library), {bpy.data.objects["Crate"]})
    bpy.data.objects.remove(bpy.data.objects["Crate"])
    with bpy.data.libraries.load(str(library), link=True) as (_source, target):
        target.objects = ["Crate"]
    bpy.context.collection.objects.link(target.objects[0])
    scenes.add_target(target.objects[0], "a crate")
    _assert_refused(addon, "not_editable", "library.blend")


def test_no_backend(addon: Addon) -> None:
    scenes.cube()
    _assert_refused(addon, "unreachable", "Start the backend")


def test_wrong_client_key(addon: Addon, backend: SmallBackend) -> None:
    import zmq

    public, secret = zmq.curve_keypair()
    _rewrite(backend, client_public_key=public.decode(), client_secret_key=secret.decode())
    scenes.cube()
    _assert_refused(addon, "not_authorised", "key")
    assert backend.script.seen == []


def test_connection_file_that_others_may_read(addon: Addon, backend: SmallBackend) -> None:
    backend.connection_file.chmod(0o644)
    scenes.cube()
    _assert_refused(addon, "not_authorised", "644")


def test_another_major_version(addon: Addon, backend: SmallBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    session = addon("_protocol").session
    hello = session.ClientSession.__init__.__kwdefaults__
    monkeypatch.setitem(hello, "major", 99)
    scenes.cube()
    _assert_refused(addon, "version_mismatch", "99")


@pytest.mark.parametrize("prompt", ["红色的椅子", "красный стул", "كرسي", "🐉🔥 👩\u200d🚀", "???", " a chair ", "ein Stuhl"])
def test_any_language_and_emoji_arrives_as_written(addon: Addon, connected: SmallBackend, prompt: str) -> None:
    scenes.cube(prompt=prompt)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    (job,) = connected.jobs.values()
    assert job.recipe.subjects[0].prompt == prompt.strip()


def _rewrite(backend: SmallBackend, **changes: str) -> None:
    from dataclasses import replace

    from maquette_protocol import auth

    auth.write_connection(backend.connection_file, replace(backend.connection, **changes))


def test_edit_mode_works_and_stays(addon: Addon, connected: SmallBackend) -> None:
    crate = scenes.cube()
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.select_all(action="SELECT")
    bpy.ops.mesh.subdivide(number_cuts=1)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    assert bpy.context.mode == "EDIT_MESH"
    sent = next(iter(connected.jobs.values())).recipe.subjects[0].mesh
    assert sent.positions.shape == (26, 3)  # the edit in progress is what is refined
    assert not crate.hide_viewport
    bpy.ops.object.mode_set(mode="OBJECT")
