"""Samples are asked for fairly, and their colours and neighbours are measured rightly."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.dataset import to_tensor
from maquette_backend.priors.starter.training.evaluation.asking import COLORS, SampleEffort, questions, views_of
from maquette_backend.priors.starter.training.evaluation.colors import confusion, shown_color, unshaded
from maquette_backend.priors.starter.training.evaluation.judge import Judge, mirrored
from maquette_backend.priors.starter.training.evaluation.judges import KINDS, side_of
from maquette_backend.priors.starter.training.evaluation.nearest import nearest, signatures
from maquette_backend.priors.starter.training.evaluation.shapes import Shape, Texture, boxes, for_rendering
from maquette_backend.priors.starter.training.rendering import render
from maquette_backend.priors.starter.training.viewpoints import Viewpoint
from small_views import small_views


def test_every_kind_is_asked_in_every_colour_from_every_side() -> None:
    asked = questions(SampleEffort())
    assert len(asked) == 12 * 50
    assert set(Counter(one.kind for one in asked).values()) == {50}
    crossed = Counter((one.kind, one.color, one.side) for one in asked if one.color)
    assert len(crossed) == 12 * 12 * 4
    assert set(crossed.values()) == {1}
    assert all(one.color in one.prompt for one in asked)
    assert side_of(np.array([one.azimuth_deg for one in asked])).tolist() == [one.side for one in asked]
    assert asked == questions(SampleEffort())


def test_the_quick_effort_asks_every_kind_in_every_colour() -> None:
    asked = questions(SampleEffort(per_kind=12))
    assert {(one.kind, one.color) for one in asked} == {(kind, color) for kind in range(12) for color in COLORS}
    assert {Counter(one.side for one in asked if one.kind == kind)[0] for kind in range(12)} == {3}
    assert torch.allclose(torch.rad2deg(views_of(asked).azimuth), torch.tensor([one.azimuth_deg for one in asked]))


def painted(rgb: tuple[int, int, int]) -> tuple[Shape, Texture]:
    shape = boxes("chair")
    uvs = np.full((len(shape.triangles), 3, 2), 0.5, np.float32)
    return shape, Texture(uvs, np.full((4, 4, 3), rgb, np.uint8))


@pytest.mark.parametrize(("rgb", "word"), [((190, 30, 30), "red"), ((110, 70, 40), "brown"), ((215, 190, 150), "beige")])
def test_light_is_undone(rgb: tuple[int, int, int], word: str) -> None:
    """A chair of one colour, rendered under the training light: every covered pixel gives that colour back."""
    viewpoint = Viewpoint(40.0, 25.0, 2.0, 40.0)
    channels = render(for_rendering(*painted(rgb)), viewpoint, 64).channels()
    shown = to_tensor(channels[None]).contiguous()
    found = unshaded(shown[0], np.radians(25.0))
    # antialiased edges mix with the background and between faces
    assert np.median(np.abs(found * 255 - np.array(rgb)), axis=0).max() < 3
    assert shown_color(shown, [25.0]) == [word]


def test_nothing_covered_has_no_colour() -> None:
    empty = torch.zeros(1, 7, 64, 64)
    empty[:, picture.COVERAGE] = -1
    assert shown_color(empty, [20.0]) == [""]
    assert confusion(["red", "red", "blue"], ["red", "", "red"]) == {"red": {"red": 1, "nothing": 1}, "blue": {"red": 1}}


def test_a_mirrored_recoloured_training_picture_is_found_and_called_a_copy() -> None:
    views = small_views(12, size=64)
    judge = Judge(len(KINDS)).eval()
    query = to_tensor(views.images[7, 2:3]).contiguous()
    disguised = mirrored(query)
    disguised[:, picture.COLOR] = disguised[:, [2, 0, 1]]
    found = nearest(judge, views, disguised, every=1)
    assert found.model.tolist() == [7]
    # a disc in the middle between left and right is its own mirror image: its twin view on the other side may win
    assert found.shot[0] in (1, 2, 4, 5)
    assert found.distance[0] < 1e-2
    assert found.copies.tolist() == [True]


def test_held_out_models_are_no_neighbours() -> None:
    views = small_views(12, size=64)
    models = [replace(model, held_out=number != 5) for number, model in enumerate(views.models)]
    judge = Judge(len(KINDS)).eval()
    query = to_tensor(views.images[3, :1]).contiguous()
    found = nearest(judge, replace(views, models=tuple(models)), query, every=1)
    assert found.model.tolist() == [5]
    assert found.ratio.tolist() == [1.0]


def test_the_distance_is_zero_for_the_same_picture_and_grows_with_the_difference() -> None:
    judge = Judge(len(KINDS)).eval()
    views = small_views(6, size=64)
    one = to_tensor(views.images[2, :1]).contiguous()
    other = to_tensor(views.images[3, :1]).contiguous()
    blends = torch.cat([one + share * (other - one) for share in (0.0, 0.3, 1.0)])
    distances = torch.cdist(signatures(judge, one), signatures(judge, blends))[0]
    assert distances[0] < 1e-3
    assert distances[0] < distances[1] < distances[2]
