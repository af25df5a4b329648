"""Several subjects in one picture: each its own, others in the way, and nothing changed but what is a target."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
import torch
from job_in_memory import Shelf, Store, equal, run
from maquette_backend.priors.prior import Condition, Modality, Views
from maquette_backend.refine.material_run import MAP_RATE
from maquette_backend.refine.painting import plain_paint, true_camera
from maquette_backend.refine.scene_run import scene_words
from maquette_backend.refine.surroundings import joined, read_surroundings
from maquette_backend.refine.unseen import visible
from maquette_backend.refine.viewpoints import cameras_for
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.scene_render import SceneObject, SurfacePoints, lay_out, render_scene
from maquette_backend.render.shading import HeadLight, render_views
from maquette_protocol.recipe import Camera, CameraRig, ContextObject, Matrix4, Recipe, Stages, Subject
from paint_shapes import POSITIONS, TRIANGLES, UVS, noise_texture, red_prior, textured
from refine_shapes import boxes
from torch import Tensor

from tests.backend.guidance.gaussian_prior import GaussianPrior, plain_settings

SCENE = Stages(geometry_steps=0, appearance_steps=4, scene_steps=6, views_per_step=2, render_size=32, preview_every=0)
VIEWS = Views(torch.tensor([0.0, 1.2]), torch.tensor([0.2, 0.5]), torch.tensor([2.0, 2.0]), torch.tensor([0.7, 0.7]))


def moved(x: float, y: float = 0.0, size: float = 1.0) -> Matrix4:
    return (size, 0, 0, x, 0, size, 0, y, 0, 0, size, 0, 0, 0, 0, 1)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


def two_boxes(shelf: Shelf) -> tuple[Subject, Subject]:
    left = replace(textured(shelf, number=1, keep_look=1.0), world_from_object=moved(-0.8))
    return left, replace(textured(shelf, number=2), world_from_object=moved(0.8), texture_size=32, seed=4)


def floor(shelf: Shelf) -> ContextObject:
    mesh = shelf.subject(*boxes((-3, -3, -0.7, 3, 3, -0.5))).mesh
    return ContextObject("Floor", mesh)


# ---- pictures ---------------------------------------------------------------------------------------
def objects(*shifts: float) -> list[SceneObject]:
    points, faces = torch.from_numpy(POSITIONS) * 0.3, torch.from_numpy(TRIANGLES.astype(np.int64))
    return [SceneObject(points + torch.tensor([0.0, shift, 0.0]), faces, points) for shift in shifts]


def test_one_object_is_drawn_as_the_plain_renderer_draws_it() -> None:
    """To rounding: the same colours under the same light, the same outlines."""
    (one,) = objects(0.0)

    def paint(seen: SurfacePoints) -> Tensor:
        return (0.5 + seen.points) * HeadLight().shade(seen.normal_camera, seen.normal[:, 2])[:, None]

    cameras, raster = cameras_for(VIEWS), choose_rasterizer("cpu")
    drawn = render_scene(raster, lay_out([one]), [paint], cameras, 48)
    plain = render_views(raster, one.positions, one.triangles, lambda points: 0.5 + points, cameras, 48)
    torch.testing.assert_close(drawn.color, plain.color, atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn.normal, plain.normal, atol=1e-5, rtol=0)
    torch.testing.assert_close(drawn.mask, plain.mask, atol=1e-5, rtol=0)


def test_every_pixel_belongs_to_the_nearest_object_and_only_its_paint_is_asked() -> None:
    """Behind a box another of the same outline is not seen at all; each gets gradients from its own pixels."""
    pair = lay_out(objects(0.0, 1.0))
    colors = [torch.full((3,), 0.5, requires_grad=True) for _ in range(2)]
    paints = [lambda seen, color=color: color.expand(len(seen.points), 3) for color in colors]
    front = Views(*(part[:1] for part in (torch.zeros(1), torch.zeros(1), VIEWS.distance, VIEWS.fov_y)))
    drawn = render_scene(choose_rasterizer("cpu"), pair, paints, cameras_for(front), 48)
    assert set(drawn.owner.unique().tolist()) == {-1, 0}
    drawn.color.sum().backward()
    assert colors[0].grad is not None
    assert float(colors[0].grad.abs().min()) > 1
    assert colors[1].grad is None
    side = render_scene(choose_rasterizer("cpu"), pair, paints, cameras_for(VIEWS), 48)
    assert set(side.owner[1].unique().tolist()) == {-1, 0, 1}


def test_context_is_one_colour_and_learns_nothing() -> None:
    one, other = objects(0.0, 0.6)
    drawn = render_scene(
        choose_rasterizer("cpu"),
        lay_out([one, other]),
        [plain_paint((0.2, 0.4, 0.6), lambda normal, up: torch.ones_like(up))] * 2,
        cameras_for(VIEWS),
        48,
        supersample=2,
    )
    inside = drawn.mask[:, 0] > 0.999999
    colors = drawn.color.permute(0, 2, 3, 1)[inside] / 2 + 0.5
    torch.testing.assert_close(colors, torch.tensor([0.2, 0.4, 0.6]).expand_as(colors), atol=1e-5, rtol=0)
    assert not drawn.color.requires_grad


# ---- what is in the way -----------------------------------------------------------------------------
def test_what_stands_before_an_artists_camera_hides_and_what_stands_behind_does_not(shelf: Shelf) -> None:
    front = Views(torch.zeros(1), torch.zeros(1), torch.tensor([2.0]), torch.tensor([0.7]))
    camera = true_camera(front, 0, 4.0)
    points = torch.tensor([[0.0, -0.5, 0.2], [0.0, -0.5, -0.2]])
    wall, faces = boxes((-2, -2.1, -1, 2, -2.0, 0.0))
    args = (choose_rasterizer("cpu"), torch.from_numpy(wall), torch.from_numpy(faces.astype(np.int64)))
    assert visible(points, camera, *args).tolist() == [[True, False]]
    behind = torch.from_numpy(wall) + torch.tensor([0.0, 4.0, 0.0])
    assert visible(points, camera, args[0], behind, args[2]).tolist() == [[True, True]]


def test_the_sent_scene_stands_where_it_stands_in_every_subjects_own_space(shelf: Shelf) -> None:
    left, right = two_boxes(shelf)
    recipe = Recipe((left, right), context=(floor(shelf),))
    surroundings = read_surroundings(recipe, shelf)
    whole = surroundings.scene_placement()
    veil = surroundings.veil(left.subject_id, whole, torch.device("cpu"))
    assert veil is not None
    assert len(veil.triangles) == len(TRIANGLES) + 12
    longest = 2.6
    other = veil.positions[: len(POSITIONS)].numpy() * longest
    np.testing.assert_allclose(other, np.add(POSITIONS, (0.8, 0, 0)), atol=1e-5)
    assert joined([]) is None


def hidden_share(shelf: Shelf, wall: bool) -> float:
    """Of a box's texels, seen by one camera in front, a wall in between or not."""
    camera = Camera("Front", (1, 0, 0, 0, 0, 0, -1, -6, 0, 1, 0, 0, 0, 0, 0, 1), fov_y=0.7)
    mesh = shelf.subject(*boxes((-4, -3.1, -4, 4, -3.0, 0.0))).mesh
    subject = shelf.subject(POSITIONS, TRIANGLES, UVS, mode="texture_only")
    recipe = Recipe(
        (subject,),
        CameraRig((camera,), orbit=False, jitter=0.0),
        (ContextObject("Wall", mesh),) if wall else (),
        replace(SCENE, scene_steps=0),
    )
    return run(recipe, shelf, priors=red_prior).results[0].seen


def test_context_hides_from_the_artists_cameras(shelf: Shelf) -> None:
    open_view, half_view = hidden_share(shelf, wall=False), hidden_share(shelf, wall=True)
    assert open_view == pytest.approx(1 / 6, abs=0.02)
    assert half_view == pytest.approx(1 / 12, abs=0.02)


# ---- whole jobs -------------------------------------------------------------------------------------
def test_only_targets_change_and_each_as_it_is_told(shelf: Shelf) -> None:
    """One keeps its look wholly: to the bit it stays what it was, though it is in every picture."""
    left, right = two_boxes(shelf)
    recipe = Recipe((left, right), context=(floor(shelf),), stages=SCENE, scene_prompt="two boxes")
    before = {name: array.copy() for name, array in shelf.arrays.items()}
    one, two = run(recipe, shelf, priors=red_prior).results
    assert one.base_color is not None
    assert two.base_color is not None
    assert np.array_equal(one.base_color, noise_texture())
    assert two.base_color.shape == (32, 32, 3)
    assert float(two.base_color[..., 0].mean()) > float(two.base_color[..., 2].mean()) + 5
    assert all(np.array_equal(shelf.arrays[name], array) for name, array in before.items())
    assert [np.array_equal(found.positions, POSITIONS) for found in (one, two)] == [True, True]


@pytest.mark.parametrize("number", [2, 6, 10])
def test_interrupted_and_resumed_equals_uninterrupted(number: int, shelf: Shelf) -> None:
    """In the first's own steps, in the second's, and while all are painted together."""
    left, right = two_boxes(shelf)
    subjects = (replace(left, keep_look=0.2), replace(right, material="pbr"))
    recipe = Recipe(subjects, context=(floor(shelf),), stages=SCENE)
    whole = run(recipe, shelf, priors=red_prior)
    store = Store()
    stopped = run(recipe, shelf, store, lambda asked: "cancel" if asked >= number else "go_on", red_prior)
    assert stopped.results == []
    again = run(recipe, shelf, store, priors=red_prior)
    assert [equal(a, b) for a, b in zip(whole.results, again.results, strict=True)] == [True, True]
    assert np.array_equal(whole.results[1].normal, again.results[1].normal)  # type: ignore[arg-type]
    assert again.asked == whole.asked - number
    assert again.reports[-1].step == again.reports[-1].steps


class Heard(GaussianPrior):
    """Notes the texts it is asked about."""

    def encode_text(self, texts: list[str]) -> Condition:
        self.texts.append(set(texts))
        return super().encode_text(texts)

    @cached_property
    def texts(self) -> list[set[str]]:
        return []


def test_each_hears_its_own_words_and_the_scene_its_own(shelf: Shelf) -> None:
    def mean(text: Tensor, views: Views | None, modality: Modality) -> Tensor:
        return torch.zeros(1, 3, 32, 32).expand(len(text), -1, -1, -1)

    prior = Heard(mean, 0.3, replace(plain_settings(modalities=("color",)), sizes=(32,)))

    left, right = two_boxes(shelf)
    subjects = (replace(left, prompt="a chair", negative_prompt="blurry"), replace(right, prompt="a table"))
    stages = replace(SCENE, appearance_steps=1, scene_steps=1)
    run(Recipe(subjects, stages=stages, scene_prompt="a café"), shelf, priors=lambda name: prior)
    assert prior.texts == [{"blurry"}, {"a chair"}, {""}, {"a table"}, {"blurry"}, {"a café"}]


def test_scene_steps_tune_a_material_and_do_not_paint_it_anew(shelf: Shelf) -> None:
    """A step moves no texel further than its maps' own rate, and leaves it in its bounds."""
    left, right = two_boxes(shelf)
    subjects = tuple(replace(one, material="pbr", maps=None, keep_look=0.0, texture_size=32) for one in (left, right))
    before, after = (
        run(Recipe(subjects, stages=replace(SCENE, scene_steps=steps)), shelf, priors=red_prior).results for steps in (0, 6)
    )
    for one, other in zip(before, after, strict=True):
        assert one.roughness is not None
        assert other.roughness is not None
        step = np.abs(one.roughness.astype(int) - other.roughness)
        assert 0 < step.max() <= 255 * 6 * MAP_RATE + 1


def test_without_words_of_its_own_the_scene_is_what_its_subjects_are(shelf: Shelf) -> None:
    left, right = two_boxes(shelf)
    recipe = Recipe((replace(left, prompt="a red chair "), replace(right, prompt="a lamp")))
    assert scene_words(recipe) == "a red chair, a lamp"
    assert scene_words(replace(recipe, scene_prompt=" a café\n")) == "a café"
    assert len(scene_words(replace(recipe, subjects=(replace(left, prompt="x" * 500), right)))) == 500
