"""Whole small jobs with the shipped prior: repeatable, resumable, and true to the artist's mesh."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from job_in_memory import SMALL, Events, Shelf, Store, equal, run
from maquette_backend.priors.prior import Prior
from maquette_backend.refine.events import RefinedSubject, Wish
from maquette_backend.refine.job import refine_job
from maquette_backend.refine.plan import BAKING_STEPS
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Camera, CameraRig, Matrix4, Mode, Recipe, Subject
from numpy.typing import NDArray
from refine_shapes import box, box_chair, box_uvs, boxes, closed_and_oriented, distances, grid_box, samples, volume

from tests.backend.guidance.gaussian_prior import GaussianPrior, plain_settings

MIRROR: Matrix4 = (-2, 0, 0, 3, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1)


def one_subject(subject: Subject, seed: int = 0) -> Recipe:
    return Recipe((subject,), stages=SMALL, seed=seed)


def refined(subject: Subject, shelf: Shelf, seed: int = 0) -> RefinedSubject:
    (result,) = run(one_subject(subject, seed), shelf).results
    return result


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture(scope="module")
def chair(shelf: Shelf) -> Subject:
    return shelf.subject(*box_chair(leg=0.12))


@pytest.fixture(scope="module")
def uninterrupted(chair: Subject, shelf: Shelf) -> Events:
    return run(one_subject(chair), shelf)


def test_the_same_recipe_gives_the_same_bits(chair: Subject, shelf: Shelf, uninterrupted: Events) -> None:
    assert equal(refined(chair, shelf), uninterrupted.results[0])


def test_another_seed_gives_another_result(chair: Subject, shelf: Shelf, uninterrupted: Events) -> None:
    other = refined(chair, shelf, seed=1)
    assert other.base_color is not None
    first = uninterrupted.results[0]
    assert not np.array_equal(other.base_color, first.base_color)
    assert other.positions.shape != first.positions.shape or not np.array_equal(other.positions, first.positions)


def test_the_result_is_a_closed_surface_near_the_artists_in_object_space(uninterrupted: Events) -> None:
    (result,) = uninterrupted.results
    positions, triangles = box_chair(leg=0.12)
    assert not result.same_topology
    assert closed_and_oriented(result.triangles)
    assert volume(result.positions, result.triangles) > 0
    cell = 1.24 / 13
    assert distances(result.positions, positions, triangles).max() < 0.05 + cell
    assert distances(samples(positions, triangles), result.positions, result.triangles).max() < 0.05 + cell
    assert result.corner_uvs is not None
    assert result.corner_uvs.shape == (len(result.triangles), 3, 2)
    assert 0 <= result.corner_uvs.min() <= result.corner_uvs.max() <= 1
    assert result.base_color is not None
    assert result.base_color.shape == (64, 64, 3)
    assert (result.positions.dtype, result.triangles.dtype) == (np.float32, np.int32)


def test_progress_rises_to_the_end_and_previews_come_when_due(chair: Subject, uninterrupted: Events) -> None:
    steps = [report.step for report in uninterrupted.reports]
    assert steps == sorted(steps)
    assert steps[-1] == uninterrupted.reports[-1].steps == 6 + 6 + BAKING_STEPS
    stages = list(dict.fromkeys(report.stage for report in uninterrupted.reports))
    assert stages == ["preparing", "geometry", "appearance", "baking"]
    shown = [(frame.stage, frame.step) for frame in uninterrupted.previews]
    assert shown == [("geometry", 0), ("geometry", 4), ("appearance", 0), ("appearance", 4)]
    topologies = [frame.topology for frame in uninterrupted.previews]
    assert topologies[0] != topologies[1] != topologies[2] == topologies[3]
    for frame in uninterrupted.previews:
        assert frame.colors is not None
        assert len(frame.colors) == len(frame.positions)
        assert frame.triangles.max() < len(frame.positions)


def cancel_at(number: int) -> Callable[[int], Wish]:
    """Asked once a step, so this is step ``number`` over both stages."""

    def wish(asked: int) -> Wish:
        return "cancel" if asked >= number else "go_on"

    return wish


@pytest.mark.parametrize("number", [0, 3, 6, 10])
def test_interrupted_and_resumed_equals_uninterrupted(
    number: int, chair: Subject, shelf: Shelf, uninterrupted: Events
) -> None:
    """To the last bit: at a first step, within geometry, between the stages, within appearance."""
    store = Store()
    cancelled = run(one_subject(chair), shelf, store, cancel_at(number))
    assert cancelled.results == []
    assert store.kept is not None
    assert store.kept[1]["stage/step"] == str(number % 6)
    resumed = run(one_subject(chair), shelf, store)
    assert equal(resumed.results[0], uninterrupted.results[0])
    assert resumed.asked == 12 - number + 1  # only what was left was computed
    assert resumed.reports[-1].step == resumed.reports[-1].steps


class SpherePrior:
    """Knows one joint picture, a bright disc, whatever it is asked for."""

    def __init__(self) -> None:
        inside = (torch.linspace(-1, 1, 64)[:, None] ** 2 + torch.linspace(-1, 1, 64) ** 2 < 0.5).float()
        mean = torch.cat([inside.expand(6, 64, 64), 2 * inside[None] - 1])[None]
        settings = plain_settings(modalities=("joint", "surface"))
        self.prior = GaussianPrior(lambda text, views, modality: mean, spread=0.3, settings=settings)

    def __call__(self, name: str) -> Prior:
        return self.prior


@pytest.mark.parametrize("number", [3, 10])
def test_a_joint_priors_job_resumes_to_the_last_bit(number: int, chair: Subject, shelf: Shelf) -> None:
    """Within geometry, and within appearance; and its two stages do something."""
    store, priors = Store(), SpherePrior()
    whole = run(one_subject(chair), shelf, priors=priors)
    assert run(one_subject(chair), shelf, store, cancel_at(number), priors).results == []
    resumed = run(one_subject(chair), shelf, store, priors=priors)
    assert equal(resumed.results[0], whole.results[0])
    assert resumed.asked == 12 - number + 1
    assert not equal(run(one_subject(chair, seed=1), shelf, priors=priors).results[0], whole.results[0])


def test_interrupted_at_every_other_step_it_still_arrives(
    chair: Subject, shelf: Shelf, uninterrupted: Events
) -> None:
    store, runs, events = Store(), 0, Events()
    while not events.results:
        events = run(one_subject(chair), shelf, store, cancel_at(5))
        runs += 1
    assert runs == 3
    assert equal(events.results[0], uninterrupted.results[0])


def test_a_finished_subject_is_reported_again_without_computing(
    chair: Subject, shelf: Shelf, uninterrupted: Events
) -> None:
    store = Store()
    second = replace(chair, subject_id="f" * 32, name="Second", prompt="a red chair")
    recipe = Recipe((chair, second), stages=SMALL)
    first = run(recipe, shelf, store, cancel_at(12 + 1 + 2))
    assert [result.subject_id for result in first.results] == [chair.subject_id]
    again = run(recipe, shelf, store)
    assert [result.subject_id for result in again.results] == [chair.subject_id, second.subject_id]
    assert equal(again.results[0], uninterrupted.results[0])
    assert {report.subject_id for report in again.reports if report.stage == "geometry"} == {second.subject_id}
    steps = [report.step for report in again.reports]
    assert steps == sorted(steps)
    assert steps[-1] == again.reports[-1].steps
    saves = store.saves
    third = run(recipe, shelf, store)
    assert store.saves == saves
    assert all(equal(a, b) for a, b in zip(third.results, again.results, strict=True))


@pytest.mark.parametrize("number", [0, 4, 8])
def test_stop_and_keep_delivers_what_there_is(number: int, chair: Subject, shelf: Shelf) -> None:
    """The present subject in the state it is in; those not yet begun stay as they were."""
    second = replace(chair, subject_id="f" * 32)
    wishes = lambda asked: "stop_and_keep" if asked >= number else "go_on"  # noqa: E731
    events = run(Recipe((chair, second), stages=SMALL), shelf, wishes=wishes)
    (result,) = events.results
    assert result.subject_id == chair.subject_id
    assert result.base_color is not None
    assert closed_and_oriented(result.triangles)
    computed = [report for report in events.reports if report.loss != 0]
    assert len(computed) == number


def test_stopped_early_is_the_state_at_that_step(shelf: Shelf) -> None:
    """Stopping before the first step of a texture leaves the mesh's own bits and a grey texture."""
    positions, triangles = box_chair()
    subject = shelf.subject(positions, triangles, mode="texture_only")
    events = run(one_subject(subject), shelf, wishes=lambda asked: "stop_and_keep")
    assert events.results[0].positions.tobytes() == positions.tobytes()
    assert set(np.unique(events.results[0].base_color)) == {128}


@pytest.mark.parametrize("world", [Subject.world_from_object, MIRROR])
def test_texture_only_leaves_the_mesh_bit_identical(world: Matrix4, shelf: Shelf) -> None:
    positions, triangles = box_chair()
    uvs = box_uvs(triangles)
    result = refined(shelf.subject(positions, triangles, uvs, mode="texture_only", world_from_object=world), shelf)
    assert result.same_topology
    assert result.positions.tobytes() == positions.tobytes()
    assert result.triangles.tobytes() == triangles.tobytes()
    assert result.corner_uvs is not None
    assert result.corner_uvs.tobytes() == uvs.tobytes()
    assert result.base_color is not None
    assert len(np.unique(result.base_color)) > 3


@pytest.mark.parametrize("mode", ["keep_topology", "remesh"])
def test_strength_zero_moves_nothing(mode: Mode, shelf: Shelf) -> None:
    positions, triangles = box_chair()
    result = refined(shelf.subject(positions, triangles, mode=mode, strength=0.0), shelf)
    assert result.same_topology
    assert result.positions.tobytes() == positions.tobytes()
    assert result.triangles.tobytes() == triangles.tobytes()


@pytest.mark.parametrize("world", [Subject.world_from_object, MIRROR])
def test_keep_topology_keeps_triangles_and_sound_uvs(world: Matrix4, shelf: Shelf) -> None:
    """And vertices move, within the bound, split corners together."""
    positions, triangles = grid_box()
    uvs = box_uvs(triangles)
    subject = shelf.subject(positions, triangles, uvs, mode="keep_topology", world_from_object=world)
    result = refined(subject, shelf)
    assert result.same_topology
    assert result.triangles.tobytes() == triangles.tobytes()
    assert result.corner_uvs is not None
    assert result.corner_uvs.tobytes() == uvs.tobytes()
    scale = np.abs(np.diag(np.reshape(world, (4, 4)))[:3])
    moved = np.linalg.norm((result.positions - positions) * scale, axis=1) / scale.max()
    assert 1e-5 < moved.max() <= 0.05 + 1e-6
    _, group = np.unique(positions, axis=0, return_inverse=True)
    order = np.argsort(group.reshape(-1), kind="stable")
    same = np.diff(group.reshape(-1)[order]) == 0
    np.testing.assert_array_equal(result.positions[order][1:][same], result.positions[order][:-1][same])


def overlapping(uvs: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.broadcast_to(uvs[:1], uvs.shape).copy()


@pytest.mark.parametrize("spoil", [overlapping, lambda uvs: uvs * 3, lambda uvs: uvs * np.nan, np.zeros_like])
def test_unsound_uvs_are_replaced(spoil, shelf: Shelf) -> None:
    positions, triangles = box()
    uvs = box_uvs(triangles)
    spoilt = np.asarray(spoil(uvs), np.float32)
    result = refined(shelf.subject(positions, triangles, spoilt, mode="texture_only"), shelf)
    assert result.corner_uvs is not None
    assert np.isfinite(result.corner_uvs).all()
    assert 0 <= result.corner_uvs.min() <= result.corner_uvs.max() <= 1
    one, two = (result.corner_uvs[:, k] - result.corner_uvs[:, 0] for k in (1, 2))
    area = np.abs(one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0])
    assert area.min() > 1e-4
    assert result.positions.tobytes() == positions.tobytes()


def test_a_mirrored_object_comes_back_outside_out(shelf: Shelf) -> None:
    """In object space, where Blender mirrors it, as the artist's was."""
    positions, triangles = box()
    result = refined(shelf.subject(positions, triangles, world_from_object=MIRROR), shelf)
    assert closed_and_oriented(result.triangles)
    assert volume(result.positions, result.triangles) == pytest.approx(volume(positions, triangles), rel=0.35)


def test_mirrored_uvs_follow_their_corners(shelf: Shelf) -> None:
    """A colour that is a function of place: each corner's texel has the colour of the corner's vertex, in both."""
    positions, triangles = box()
    uvs = box_uvs(triangles)
    looks = []
    for world in (Subject.world_from_object, MIRROR):
        subject = shelf.subject(positions, triangles, uvs, mode="texture_only", world_from_object=world)
        subject = replace(subject, texture_size=128)
        looks.append(refined(subject, shelf))
    for result in looks:
        assert result.base_color is not None
        assert result.corner_uvs is not None
        texel = np.clip((result.corner_uvs * 0.96 + result.corner_uvs.mean(1, keepdims=True) * 0.04) * 128, 0, 127)
        column, row = texel.astype(int)[..., 0].reshape(-1), texel.astype(int)[..., 1].reshape(-1)
        color = result.base_color[row, column].astype(float)
        vertex = result.triangles.reshape(-1)
        within = np.mean([color[vertex == k].std(0) for k in range(8)])
        between = np.std([color[vertex == k].mean(0) for k in range(8)], axis=0).mean()
        assert within < 0.5 * between


def test_two_subjects_each_in_their_own_object_space(shelf: Shelf) -> None:
    """One far away and a hundred times larger: both come back near their own meshes."""
    far: Matrix4 = (0, -100, 0, 5000, 100, 0, 0, -700, 0, 0, 100, 9, 0, 0, 0, 1)
    near = shelf.subject(*box(), number=1)
    other = shelf.subject(*box_chair(leg=0.12), number=2, world_from_object=far)
    events = run(Recipe((near, other), stages=SMALL), shelf)
    for result, (positions, triangles) in zip(events.results, (box(), box_chair(leg=0.12)), strict=True):
        assert distances(result.positions, positions, triangles).max() < 0.05 + 1.24 / 13
        assert closed_and_oriented(result.triangles)
    # a neighbour in the queue changes nothing
    assert equal(events.results[0], refined(near, shelf))


def test_a_loose_vertex_far_off_changes_nothing_but_is_kept(shelf: Shelf) -> None:
    """It belongs to no face: the subject is framed without it, so every pixel is the same."""
    positions, triangles = box()
    loose = np.concatenate([positions, np.full((1, 3), 500, np.float32)])
    with_loose = refined(shelf.subject(loose, triangles, mode="texture_only"), shelf)
    without = refined(shelf.subject(positions, triangles, mode="texture_only"), shelf)
    np.testing.assert_array_equal(with_loose.base_color, without.base_color)
    assert with_loose.positions.tobytes() == loose.tobytes()


def test_small_separate_parts_are_kept(shelf: Shelf) -> None:
    """A knob beside a cabinet has less than a hundredth of its area, and is the artist's all the same."""
    positions, triangles = boxes((-0.5, -0.3, -0.5, 0.5, 0.3, 0.5), (0.0, -0.45, 0.0, 0.06, -0.39, 0.06))
    subject = shelf.subject(positions, triangles, strength=0.1)
    stages = replace(SMALL, grid_resolution=64, geometry_steps=1, appearance_steps=0)
    (result,) = run(Recipe((subject,), stages=stages), shelf).results
    knob = distances(samples(positions, triangles[12:], 200), result.positions, result.triangles)
    assert knob.max() < 0.04


FACES = np.array([[0, 1, 2]], np.int32)
TRIANGLE = np.eye(3, dtype=np.float32)
BAD = [
    (np.zeros((0, 3), np.float32), FACES, ErrorCode.EMPTY_MESH),
    (TRIANGLE, np.zeros((0, 3), np.int32), ErrorCode.NO_FACES),
    (TRIANGLE * np.float32("nan"), FACES, ErrorCode.NOT_FINITE),
    (np.full((3, 3), np.inf, np.float32), FACES, ErrorCode.NOT_FINITE),
    (TRIANGLE, FACES + 1, ErrorCode.BAD_INDEX),
    (TRIANGLE, FACES - 1, ErrorCode.BAD_INDEX),
    (TRIANGLE * 0, FACES, ErrorCode.ZERO_SIZE),
]


@pytest.mark.parametrize(("positions", "triangles", "code"), BAD)
def test_a_bad_mesh_is_named_before_anything_is_computed(
    positions: NDArray[np.float32], triangles: NDArray[np.int32], code: ErrorCode, chair: Subject, shelf: Shelf
) -> None:
    """Though it is the second: the first is not begun."""
    bad = shelf.subject(positions, triangles, number=9, name="Broken Stool")
    events, store = Events(), Store()

    def no_prior(name: str):
        raise AssertionError("a prior was loaded for a job that cannot run")

    with pytest.raises(MaquetteError, match="Broken Stool") as caught:
        refine_job(Recipe((chair, bad), stages=SMALL), shelf, events, store, no_prior)
    assert caught.value.code is code
    assert caught.value.remedy
    assert (events.reports, events.results, store.saves) == ([], [], 0)


def test_zero_scale_is_named(shelf: Shelf) -> None:
    flat = shelf.subject(*box(), name="Flat Stool", world_from_object=(1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1))
    with pytest.raises(MaquetteError, match="Flat Stool") as caught:
        run(one_subject(flat), shelf)
    assert caught.value.code is ErrorCode.ZERO_SIZE


def camera_looking_down_at(x: float) -> Camera:
    return Camera("Top", (1, 0, 0, x, 0, 1, 0, 0, 0, 0, 1, 5, 0, 0, 0, 1), 0.7)


def test_a_rig_that_does_not_see_the_subject_is_refused(chair: Subject, shelf: Shelf) -> None:
    rig = CameraRig((camera_looking_down_at(100),), orbit=False)
    with pytest.raises(MaquetteError, match="Chair") as caught:
        run(replace(one_subject(chair), rig=rig), shelf)
    assert caught.value.code is ErrorCode.NO_CAMERA_SEES
    short = replace(one_subject(chair), stages=replace(SMALL, geometry_steps=0, appearance_steps=1))
    for seeing in (CameraRig((camera_looking_down_at(0),), orbit=False), replace(rig, orbit=True)):
        assert len(run(replace(short, rig=seeing), shelf).results) == 1


def test_a_loose_vertex_in_view_is_not_the_subject_in_view(shelf: Shelf) -> None:
    positions, triangles = box()
    loose = np.concatenate([positions, [[100, 0, 0]]]).astype(np.float32)
    subject = shelf.subject(loose, triangles)
    with pytest.raises(MaquetteError) as caught:
        run(replace(one_subject(subject), rig=CameraRig((camera_looking_down_at(100),), orbit=False)), shelf)
    assert caught.value.code is ErrorCode.NO_CAMERA_SEES
