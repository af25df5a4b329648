"""Coarse shapes and controls are what they claim to be, and a refinement is called better only if it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter.training.evaluation.distillation import (
    UNSEEN,
    WRONG_KINDS,
    Colored,
    Refined,
    RefineEffort,
    Reshaped,
    coarse_subjects,
    colored,
    right_shares,
    shrunk,
    smoothed_by,
    surface_distance,
)
from maquette_backend.priors.starter.training.evaluation.judges import KINDS
from maquette_backend.priors.starter.training.evaluation.shapes import (
    BOXES,
    Shape,
    Subject,
    Texture,
    blob,
    boxes,
    for_rendering,
    smoothed,
)
from maquette_backend.priors.starter.training.rendering import render
from maquette_backend.priors.starter.training.viewpoints import Viewpoint

from tests.backend.render.surfaces import sphere


def ball() -> Shape:
    positions, triangles = sphere(24, radius=0.5)
    return Shape(positions.numpy().astype(np.float32), triangles.numpy().astype(np.int32))


def volume(shape: Shape) -> float:
    a, b, c = (shape.positions[shape.triangles[:, corner]].astype(np.float64) for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def is_closed(shape: Shape) -> bool:
    """Every directed edge has its opposite."""
    edges = np.concatenate([shape.triangles[:, [i, (i + 1) % 3]] for i in range(3)])
    return sorted(map(tuple, edges.tolist())) == sorted(map(tuple, edges[:, ::-1].tolist()))


@pytest.mark.parametrize("kind", sorted(BOXES))
def test_boxes_are_closed_and_wound_outwards(kind: str) -> None:
    shape = boxes(kind)
    sides = np.array(BOXES[kind]).reshape(-1, 3, 2)
    assert is_closed(shape)
    assert volume(shape) == pytest.approx(np.ptp(sides, axis=2).prod(1).sum(), rel=1e-5)


def test_a_blob_is_closed_and_a_little_thicker() -> None:
    clay = blob(ball())
    assert is_closed(clay)
    exact = 4 / 3 * np.pi * 0.5**3
    assert 1.05 * exact < volume(clay) < 1.5 * exact
    radii = np.linalg.norm(clay.positions, axis=1)
    assert radii.min() > 0.45
    assert radii.max() < 0.62


def test_a_blob_of_a_hollow_thing_is_solid() -> None:
    """Two nested balls, the inner one inside out, become one."""
    outer = ball()
    inner = Shape(0.6 * outer.positions, outer.triangles[:, ::-1] + len(outer.positions))
    hollow = Shape(np.concatenate([outer.positions, inner.positions]), np.concatenate([outer.triangles, inner.triangles]))
    assert volume(blob(hollow)) == pytest.approx(volume(blob(outer)), rel=0.03)


def test_shrinking_and_smoothing_move_as_far_as_they_are_told() -> None:
    start = ball()
    used = np.unique(start.triangles)  # the sphere's poles stand in a row of which one is used
    assert np.allclose(np.linalg.norm(shrunk(start, 0.03).positions[used], axis=1), 0.47, atol=2e-3)
    smooth = smoothed_by(start, 0.01)
    moved = np.linalg.norm(smooth.positions - start.positions, axis=1).mean()
    assert 0.01 <= moved < 0.013
    assert volume(Shape(smoothed(start.positions, start.triangles, 3), start.triangles)) < volume(start)


@pytest.mark.parametrize("gap", [0.02, 0.05])
def test_the_distance_of_concentric_balls_is_their_gap(gap: float) -> None:
    start = ball()
    other = Shape(start.positions * (1 + 2 * gap), start.triangles)
    assert surface_distance(other, start) == pytest.approx(gap, rel=0.2)
    assert surface_distance(start, start) < 1e-3


def test_a_texture_is_seen_where_it_is_put() -> None:
    """Rows from the bottom: the upper half of a square that faces the camera is red, the lower blue."""
    positions = np.array([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0.5, 0, 0.5], [-0.5, 0, 0.5]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    uvs = (positions[triangles][:, :, [0, 2]] + 0.5) * 0.98 + 0.01
    image = np.zeros((2, 2, 3), np.uint8)
    image[0], image[1] = (0, 0, 255), (255, 0, 0)
    seen = render(for_rendering(Shape(positions, triangles), Texture(uvs, image)), Viewpoint(0.0, 0.0, 2.0, 40.0), 64).color
    upper, lower = seen[20, 32], seen[44, 32]
    assert upper[0] > 100 > upper[2]
    assert lower[2] > 100 > lower[0]


def test_the_front_is_seen_from_the_front() -> None:
    """The back of a chair, at +Y, hides nothing from the front and the seat from behind."""
    mesh = for_rendering(boxes("chair"), None)
    front, back = (render(mesh, Viewpoint(azimuth, 20.0, 2.0, 40.0), 64).normal for azimuth in (0.0, 180.0))
    # the seat's top faces up, and from behind the backrest hides it
    upwards = [(shown[..., 1] > 200).sum() for shown in (front, back)]
    assert upwards[0] > 2 * upwards[1]


class Painter:
    """Stands for refinement: returns the shape in one colour, whatever the prompt; the last prompts are kept."""

    def __init__(self, rgb: tuple[int, int, int]) -> None:
        self.rgb = rgb
        self.prompts: list[str] = []

    def __call__(self, shape: Shape, prompt: str, *, geometry_steps: int, appearance_steps: int, seed: int) -> Refined:
        assert geometry_steps == 0
        self.prompts.append(prompt)
        uvs = np.full((len(shape.triangles), 3, 2), 0.5, np.float32)
        return Refined(shape, Texture(uvs, np.full((4, 4, 3), self.rgb, np.uint8)), 1.0)


def test_colours_are_read_from_all_views_and_asked_in_turn() -> None:
    subjects = [Subject("ball", "decoration", "ball", ball())] * 12
    painter = Painter((190, 30, 30))
    results = colored(subjects, painter, RefineEffort(subjects=12))
    assert right_shares(results).tolist() == [float(one.asked == "red") for one in results]
    assert len({one.asked for one in results}) == 12
    assert all(one.asked in prompt for one, prompt in zip(results, painter.prompts, strict=True))
    assert all(len(one.found) == len(UNSEEN) for one in results)


def test_coarse_subjects_are_blobs_and_boxes_of_known_kinds() -> None:
    held_out = [Subject(kind, kind, kind, ball()) for kind in ("chair", "decoration", "bed", "sofa", "table", "lamp")]
    subjects = coarse_subjects(held_out, 5)
    assert [one.kind for one in subjects] == ["chair", "bed", "sofa", "armchair", "bed"]
    assert set(WRONG_KINDS) == set(KINDS)
    assert all(kind != wrong for kind, wrong in WRONG_KINDS.items())


def test_better_is_better_than_everything_else() -> None:
    best = Reshaped("x", "chair", before=0, after=1, shrunk=0.5, smooth=0.5, wrong=0.5, moved=0.02, pictures={})
    assert best.better
    for name in ("before", "shrunk", "smooth", "wrong"):
        assert not replace(best, **{name: 1.5}).better


def test_shares_count_views() -> None:
    one = Colored("x", "a red x", "red", ("red",) * 6 + ("pink",) * 2, torch.zeros(8, 7, 4, 4), 1.0)
    assert right_shares([one]).tolist() == [0.75]


def test_smoothing_rounds_boxes_and_keeps_them() -> None:
    table = boxes("table")
    rounded = smoothed_by(table, 0.01)
    assert volume(rounded) > 0.75 * volume(table)
    assert np.allclose(np.ptp(rounded.positions, axis=0), np.ptp(table.positions, axis=0), rtol=0.1)
