"""Bad input is named with the thing, the value and the remedy, before any work is spent on it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from maquette_protocol import limits
from maquette_protocol.cameras import cameras_that_see, check_seen
from maquette_protocol.checks import check_recipe
from maquette_protocol.codec import Envelope, decode, encode
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.mesh import check_mesh
from maquette_protocol.messages import SubmitJob
from maquette_protocol.recipe import (
    ArrayRef,
    Camera,
    ContextObject,
    Guidance,
    Locks,
    MeshRef,
    Recipe,
    Stages,
    Subject,
)
from protocol_samples import JOB, MESH, RECIPE

PRIORS = ("starter",)
SUBJECT = RECIPE.subjects[0]
TETRAHEDRON = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]], dtype=np.int32)


def _changed(array: np.ndarray, at: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[at] = value
    return copy


# ---- meshes -----------------------------------------------------------------------------------------
def test_a_good_mesh_passes() -> None:
    check_mesh("Tetra", TETRAHEDRON, FACES)
    check_mesh("Flat", TETRAHEDRON[:3], np.array([[0, 1, 2]], dtype=np.int32))
    check_mesh("Tiny", TETRAHEDRON * 1e-6, FACES)


@pytest.mark.parametrize(
    ("positions", "triangles", "code", "said"),
    [
        (TETRAHEDRON[:0], FACES[:0], ErrorCode.EMPTY_MESH, "no vertices"),
        (TETRAHEDRON, FACES[:0], ErrorCode.NO_FACES, "4 vertices"),
        (_changed(TETRAHEDRON, (2, 1), np.nan), FACES, ErrorCode.NOT_FINITE, "vertex 2 is at (0, nan, 0)"),
        (_changed(TETRAHEDRON, (3, 0), -np.inf), FACES, ErrorCode.NOT_FINITE, "vertex 3"),
        (TETRAHEDRON, _changed(FACES, (1, 2), 4), ErrorCode.BAD_INDEX, "triangle 1 names vertices 0, 1, 4, of 4"),
        (TETRAHEDRON, _changed(FACES, (0, 0), -1), ErrorCode.BAD_INDEX, "triangle 0"),
        (TETRAHEDRON, FACES.astype(np.float32), ErrorCode.BAD_INDEX, "float32"),
        (TETRAHEDRON, FACES[:, :2], ErrorCode.BAD_INDEX, "[n, 3]"),
        (np.ones_like(TETRAHEDRON), FACES, ErrorCode.ZERO_SIZE, "(0, 0, 0) m"),
        (TETRAHEDRON * 1e12, FACES, ErrorCode.ZERO_SIZE, "1e+12"),
        # only loose vertices give it a size
        (TETRAHEDRON, np.zeros((2, 3), np.int32), ErrorCode.ZERO_SIZE, "(0, 0, 0) m"),
        (
            TETRAHEDRON,
            np.zeros((limits.MAX_TRIANGLES + 1, 3), np.int32),
            ErrorCode.TOO_MANY_TRIANGLES,
            "500,001 triangles",
        ),
    ],
)
def test_bad_mesh_is_named(positions: np.ndarray, triangles: np.ndarray, code: ErrorCode, said: str) -> None:
    with pytest.raises(MaquetteError) as caught:
        check_mesh("Chair", positions, triangles)
    assert caught.value.code == code
    assert "“Chair”" in caught.value.message
    assert said in caught.value.message
    assert caught.value.remedy


# ---- recipes ----------------------------------------------------------------------------------------
def _subject(**changes: object) -> Recipe:
    return replace(RECIPE, subjects=(replace(SUBJECT, **changes),))  # type: ignore[arg-type]


def _rig(**changes: object) -> Recipe:
    return replace(RECIPE, rig=replace(RECIPE.rig, **changes))  # type: ignore[arg-type]


def _mesh(**changes: object) -> Recipe:
    return _subject(mesh=replace(SUBJECT.mesh, **changes))  # type: ignore[arg-type]


SINGULAR = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)
PERSPECTIVE = (1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1)
NOT_FINITE = (math.nan, *SINGULAR[1:])
HASH = "ab" * 32


def test_good_recipes_pass() -> None:
    check_recipe(RECIPE, PRIORS)
    check_recipe(Recipe((Subject("0" * 32, "Cube", "a chair", MESH),)), PRIORS)
    millimetres = (1e-3, 0, 0, 0, 0, 1e-3, 0, 0, 0, 0, 1e-3, 0, 0, 0, 0, 1)
    mirrored = (-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    check_recipe(_subject(world_from_object=millimetres), PRIORS)
    check_recipe(_subject(world_from_object=mirrored), PRIORS)


@pytest.mark.parametrize(
    ("recipe", "code", "said"),
    [
        (replace(RECIPE, subjects=()), ErrorCode.NO_TARGET, "nothing to refine"),
        (_subject(prompt=" \n"), ErrorCode.EMPTY_PROMPT, "“Fauteuil é”"),
        (replace(RECIPE, prior="../weights"), ErrorCode.UNKNOWN_PRIOR, "“../weights”"),
        (_rig(cameras=()), ErrorCode.NO_CAMERA, "orbit is off"),
        (_subject(subject_id=""), ErrorCode.INVALID_RECIPE, "no id"),
        (_subject(subject_id="AB" * 16), ErrorCode.INVALID_RECIPE, "subject_id"),
        (replace(RECIPE, subjects=(SUBJECT, SUBJECT)), ErrorCode.INVALID_RECIPE, SUBJECT.subject_id),
        (replace(RECIPE, format=2), ErrorCode.INVALID_RECIPE, "format 2"),
        (_subject(prompt="x" * 501), ErrorCode.INVALID_RECIPE, "501 characters"),
        (_subject(negative_prompt="x" * 501), ErrorCode.INVALID_RECIPE, "negative prompt"),
        (_subject(name="x" * 256), ErrorCode.INVALID_RECIPE, "256 characters"),
        (_subject(strength=1.5), ErrorCode.INVALID_RECIPE, "1.5"),
        (_subject(strength=math.nan), ErrorCode.INVALID_RECIPE, "strength"),
        (_subject(strength="1"), ErrorCode.INVALID_RECIPE, "strength"),
        (_subject(prompt=5), ErrorCode.INVALID_RECIPE, "prompt"),
        (_subject(negative_prompt=None), ErrorCode.INVALID_RECIPE, "negative_prompt"),
        (_subject(prompt="half \ud83d"), ErrorCode.INVALID_RECIPE, "surrogate"),
        (_subject(texture_size=8), ErrorCode.INVALID_RECIPE, "is 8"),
        (_subject(mode="explode"), ErrorCode.INVALID_RECIPE, "explode"),
        (_subject(world_from_object=SINGULAR), ErrorCode.INVALID_RECIPE, "flattens it (scale 1 × 1 × 0)"),
        (_subject(world_from_object=NOT_FINITE), ErrorCode.INVALID_RECIPE, "finite"),
        (_subject(world_from_object=PERSPECTIVE), ErrorCode.INVALID_RECIPE, "affine"),
        (_subject(world_from_object=(1.0,) * 15), ErrorCode.INVALID_RECIPE, "15 elements"),
        (_mesh(positions=ArrayRef("xyz", "f4", (8, 3))), ErrorCode.INVALID_RECIPE, "sha256"),
        (_mesh(positions=ArrayRef(HASH, "f8", (8, 3))), ErrorCode.INVALID_RECIPE, "f8 [8, 3]"),
        (_mesh(positions=ArrayRef(HASH, "f4", ())), ErrorCode.INVALID_RECIPE, "positions"),
        (_mesh(triangles=ArrayRef(HASH, "i4", (0, 3))), ErrorCode.INVALID_RECIPE, "0 bytes"),
        (_mesh(triangles=ArrayRef(HASH, "i4", (12, 4))), ErrorCode.INVALID_RECIPE, "[12, 4]"),
        (_mesh(corner_uvs=ArrayRef(HASH, "f4", (11, 3, 2))), ErrorCode.INVALID_RECIPE, "corner UVs"),
        (_mesh(triangles=ArrayRef(HASH, "i4", (500_001, 3))), ErrorCode.TOO_MANY_TRIANGLES, "500,001"),
        (_rig(cameras=(Camera("Top", SINGULAR, 0.7),)), ErrorCode.INVALID_RECIPE, "“Top”"),
        (_rig(cameras=(Camera("Top", PERSPECTIVE, 0.7),)), ErrorCode.INVALID_RECIPE, "“Top”"),
        (_rig(cameras=RECIPE.rig.cameras * 33), ErrorCode.INVALID_RECIPE, "33 cameras"),
        (_rig(cameras=(replace(RECIPE.rig.cameras[0], fov_y=0.0),)), ErrorCode.INVALID_RECIPE, "field of view"),
        (_rig(cameras=(replace(RECIPE.rig.cameras[0], aspect=-1.0),)), ErrorCode.INVALID_RECIPE, "aspect"),
        (_rig(orbit_elevation_max=0.01), ErrorCode.INVALID_RECIPE, "highest elevation"),
        (_rig(jitter=-0.1), ErrorCode.INVALID_RECIPE, "jitter"),
        (replace(RECIPE, stages=Stages(geometry_steps=-1)), ErrorCode.INVALID_RECIPE, "geometry steps is -1"),
        (replace(RECIPE, stages=Stages(appearance_steps=10**6)), ErrorCode.INVALID_RECIPE, "1e+06"),
        (replace(RECIPE, stages=Stages(grid_resolution=4096)), ErrorCode.INVALID_RECIPE, "4096"),
        (replace(RECIPE, stages=Stages(views_per_step=0)), ErrorCode.INVALID_RECIPE, "views per step"),
        (replace(RECIPE, stages=Stages(render_size=1)), ErrorCode.INVALID_RECIPE, "render size"),
        (replace(RECIPE, stages=Stages(preview_every=-1)), ErrorCode.INVALID_RECIPE, "previews"),
        (replace(RECIPE, guidance=Guidance(geometry_scale=-1.0)), ErrorCode.INVALID_RECIPE, "guidance scale"),
        (replace(RECIPE, context=(ContextObject("Wall", MESH, SINGULAR),)), ErrorCode.INVALID_RECIPE, "“Wall”"),
        (replace(RECIPE, context=RECIPE.context * 101), ErrorCode.INVALID_RECIPE, "101 context objects"),
        (replace(RECIPE, context=RECIPE.context * 250), ErrorCode.INVALID_RECIPE, "context objects"),
    ],
)  # fmt: skip
def test_bad_recipe_is_named(recipe: Recipe, code: ErrorCode, said: str) -> None:
    with pytest.raises(MaquetteError) as caught:
        check_recipe(recipe, PRIORS)
    assert caught.value.code == code
    assert said in caught.value.message
    assert caught.value.remedy


def test_every_recipe_that_passes_can_be_sent() -> None:
    """Fill a recipe up until it is refused: the last one accepted fits a control frame."""
    subjects = tuple(replace(SUBJECT, subject_id=f"{i:032x}", prompt="é" * 300) for i in range(limits.MAX_SUBJECTS))
    count, recipe = 0, replace(RECIPE, subjects=subjects, context=())
    while count < limits.MAX_CONTEXT:
        fuller = replace(recipe, context=RECIPE.context * (count + 1))
        try:
            check_recipe(fuller, PRIORS)
        except MaquetteError:
            break
        count, recipe = count + 1, fuller
    assert count > 40
    frames = encode(Envelope(SubmitJob(JOB, recipe), 2**62, 2**62))
    assert decode(frames).message == SubmitJob(JOB, recipe)


@pytest.mark.parametrize(
    "prompt",
    [
        "a" * limits.MAX_PROMPT_CHARS,
        "🐉" * limits.MAX_PROMPT_CHARS,
        "一条红色的龙",
        "تنين أحمر",
        "красный дракон",
        "👩\u200d🚀",
        "???",
        " a chair\n",
        "a\tchair\nwith\u200bodd blanks",
    ],
)
def test_any_language_emoji_and_sign_is_a_prompt_and_travels_unchanged(prompt: str) -> None:
    recipe = _subject(prompt=prompt, negative_prompt="")
    check_recipe(recipe, PRIORS)
    assert decode(encode(Envelope(SubmitJob(JOB, recipe), 1))).message == SubmitJob(JOB, recipe)


@pytest.mark.parametrize("prompt", ["", " ", "\n\t\r", "\u200b", "\u200d\u2060", "\u00a0\u3000", "\x00\x1b"])
def test_a_prompt_in_which_nothing_can_be_seen_is_empty(prompt: str) -> None:
    with pytest.raises(MaquetteError) as caught:
        check_recipe(_subject(prompt=prompt), PRIORS)
    assert caught.value.code == ErrorCode.EMPTY_PROMPT
    assert str(caught.value) == f"“{SUBJECT.name}” has no prompt. Say in words what it should become."


@pytest.mark.parametrize("count", [501, 2048, 2049, 10_000, 10**6])
@pytest.mark.parametrize(("field", "called"), [("prompt", "prompt"), ("negative_prompt", "negative prompt")])
def test_a_long_prompt_is_refused_by_its_length_however_long(field: str, called: str, count: int) -> None:
    """Also where it is past what any text of a message may have."""
    with pytest.raises(MaquetteError) as caught:
        check_recipe(_subject(**{field: "x" * count}), PRIORS)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert caught.value.message == f"The {called} of “{SUBJECT.name}” has {count} characters; the limit is 500."


# ---- views ------------------------------------------------------------------------------------------
def _looking(eye: tuple[float, float, float], at: tuple[float, float, float] = (0, 0, 0)) -> Camera:
    back = np.subtract(eye, at) / np.linalg.norm(np.subtract(eye, at))
    right = np.cross((0, 0, 1), back)
    right /= np.linalg.norm(right)
    matrix = np.eye(4)
    matrix[:3, :4] = np.stack([right, np.cross(back, right), back, np.array(eye)], axis=1)
    return Camera("Camera", tuple(float(v) for v in matrix.ravel()), fov_y=math.radians(40))  # type: ignore[arg-type]


CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
RIGHT, UP = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


@pytest.mark.parametrize(
    ("points", "seen"),
    [
        (CUBE, True),
        (CUBE + np.array([0, -20, 0]), False),  # behind the camera
        (CUBE * 0.01 + [0, -10.5, 0], False),  # just behind
        (CUBE * 0.01 + [0, -9.5, 0], True),  # just ahead
        (CUBE * 100, True),  # the camera is inside
        (CUBE * [100, 1, 100], True),  # fills the picture: no corner of it is in view
        (CUBE * [0.1, 0.1, 100], True),  # a pole through the middle: no corner is in view
        (CUBE * [100, 0.1, 0.1] + [0, 0, 20], False),  # a beam above the view
        (CUBE[:1] * 0, True),  # one point
        (CUBE[:0], False),  # none
    ],
)
def test_seen_from_the_front(points: np.ndarray, seen: bool) -> None:
    camera = _looking((0, -10, 0))
    assert cameras_that_see([camera], points) == (("Camera",) if seen else ())


@pytest.mark.parametrize("aspect", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("axis", ["right", "up"])
def test_edge_of_the_view_is_where_the_field_of_view_says(aspect: float, axis: str) -> None:
    camera = replace(_looking((0, -10, 0)), aspect=aspect)
    half = 10 * math.tan(camera.fov_y / 2)
    edge = RIGHT * half * aspect if axis == "right" else UP * half
    assert cameras_that_see([camera], [edge * 0.999])
    assert not cameras_that_see([camera], [edge * 1.001])


def test_boxes_agree_with_a_cloud_of_points_in_them() -> None:
    """Sampled points can only miss what the clipped box finds, never see more."""
    random = np.random.default_rng(0)
    cameras = [_looking(tuple(random.normal(size=3) * 6)) for _ in range(60)]
    disagreements = 0
    for camera in cameras:
        low = random.uniform(-8, 8, 3)
        high = low + random.uniform(0.1, 5, 3)
        cloud = random.uniform(low, high, (3000, 3))
        inside = (np.linalg.inv(np.array(camera.world_from_camera).reshape(4, 4)) @ np.c_[cloud, np.ones(3000)].T)[:3]
        half = math.tan(camera.fov_y / 2) * -inside[2]
        sampled = bool(((inside[2] < 0) & (abs(inside[0]) < half) & (abs(inside[1]) < half)).any())
        found = bool(cameras_that_see([camera], [low, high]))
        assert found >= sampled
        disagreements += found != sampled
    assert disagreements <= 3


def test_subject_that_no_camera_sees_is_named() -> None:
    away = replace(_looking((0, -10, 0), (0, -20, 0)), name="Door")
    with pytest.raises(MaquetteError) as caught:
        check_seen("Chair", [away], CUBE)
    assert caught.value.code == ErrorCode.NO_CAMERA_SEES
    assert "“Chair”" in caught.value.message
    assert "“Door”" in caught.value.message
    assert caught.value.remedy
    check_seen("Chair", [away, _looking((0, -10, 0))], CUBE)
    check_seen("Chair", [], CUBE)


def test_every_number_of_a_recipe_is_bounded() -> None:
    """A field added later without a bound would be found here."""
    for stage in dataclasses.fields(Stages):
        for value in (-1, 10**9):
            with pytest.raises(MaquetteError):
                check_recipe(replace(RECIPE, stages=replace(Stages(), **{stage.name: value})), PRIORS)
    checks: list[Callable[[float], Recipe]] = [
        lambda value: replace(RECIPE, guidance=Guidance(appearance_scale=value)),
        lambda value: _rig(orbit_elevation_min=value),
        lambda value: _subject(strength=value),
    ]
    for check in checks:
        with pytest.raises(MaquetteError):
            check_recipe(check(1e9), PRIORS)


def test_mesh_refs_need_no_uvs() -> None:
    check_recipe(_subject(mesh=MeshRef(SUBJECT.mesh.positions, SUBJECT.mesh.triangles)), PRIORS)


def _ref(dtype: str, *shape: int) -> ArrayRef:
    return ArrayRef("44" * 32, dtype, shape)


def test_controls_of_the_shape_are_accepted() -> None:
    vertices = SUBJECT.mesh.positions.shape[0]
    controlled = _subject(
        stay_close=1.0, mask=_ref("f4", vertices), sharp_edges=_ref("i4", 3, 2), triangle_budget=100,
        locks=Locks(symmetry_x=True, flat_bottom=True),
    )  # fmt: skip
    check_recipe(controlled, PRIORS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stay_close": 1.01}, "1.01"),
        ({"triangle_budget": 99}, "99"),
        ({"triangle_budget": -1}, "-1"),
        ({"mask": _ref("f4", 9)}, "mask"),
        ({"mask": _ref("u1", 8)}, "mask"),
        ({"sharp_edges": _ref("i4", 6)}, "sharp edges"),
        ({"sharp_edges": _ref("f4", 3, 2)}, "sharp edges"),
    ],
)
def test_controls_out_of_bounds_are_named(changes: dict[str, object], said: str) -> None:
    with pytest.raises(MaquetteError, match=said) as caught:
        check_recipe(_subject(**changes), PRIORS)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert "Fauteuil" in caught.value.message
