"""The measurement itself is measured: on networks whose answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter import picture
from maquette_backend.priors.starter.training.dataset import ViewSet
from maquette_backend.priors.starter.training.evaluation.losses import (
    LossEffort,
    fullest_caption,
    loss_rows,
    model_losses,
    strangers_of,
)
from maquette_backend.priors.starter.training.evaluation.rows import Row, bootstrap_ratio, markdown, wilson
from small_views import bytes_as_words, small_views
from torch import Tensor, nn

EFFORT = LossEffort(views=2, noises=2)


class Deaf(nn.Module):
    """Predicts nothing, whatever it is told."""

    def forward(self, folded: Tensor, *told: Tensor, **also: Tensor | bool) -> tuple[Tensor]:
        return (torch.zeros_like(folded),)


class Listener(nn.Module):
    """Errs in the colour channels alone, by 10, where the words are not those of a right caption."""

    def __init__(self, right: Tensor) -> None:
        super().__init__()
        self.right = right

    def forward(self, folded: Tensor, steps: Tensor, words: Tensor, **also: Tensor | bool) -> tuple[Tensor]:
        known = ((words[:, None] - self.right[None]).abs().amax((2, 3)) < 1e-3).any(1)
        error = torch.zeros_like(folded)
        error[:, : 3 * picture.PATCH**2] = 10.0 * ~known[:, None, None, None]
        return (error,)


def asymmetric_views() -> ViewSet:
    views = small_views(6)
    models = [replace(model, held_out=number < 3, asymmetric=number < 2) for number, model in enumerate(views.models)]
    return replace(views, models=tuple(models))


def test_a_deaf_network_scores_exactly_one() -> None:
    rows = loss_rows(Deaf(), bytes_as_words, asymmetric_views(), EFFORT)
    assert {(row.value, row.low, row.high) for row in rows} == {(1.0, 1.0, 1.0)}
    assert {row.verdict for row in rows if row.target} == {"fails"}


def test_a_network_that_listens_to_the_caption_only_is_found_out() -> None:
    views = asymmetric_views()
    network = Listener(bytes_as_words([fullest_caption(views, 0)]))
    losses = model_losses(network, bytes_as_words, views, [0, 1], 0.9, False, EFFORT)
    colors, geometry = picture.COLOR, picture.GEOMETRY
    # 10 off in every colour channel: the error grows by 100 on average, and by what 20·10·v averages to
    assert np.allclose(losses["caption"][0, colors] - losses["right"][0, colors], 100, atol=15)
    assert np.array_equal(losses["caption"][:, geometry], losses["right"][:, geometry])
    assert np.array_equal(losses["camera"], losses["right"])
    assert np.allclose(losses["right"][1, colors] - losses["caption"][1, colors], 100, atol=15)


def test_given_geometry_is_told_and_not_noised() -> None:
    """A network that returns what it sees: with clean geometry v is the noise, and what it sees is the picture."""
    views = asymmetric_views()

    class Mirror(nn.Module):
        def forward(self, folded: Tensor, *told: Tensor, **also: Tensor | bool) -> tuple[Tensor]:
            return (folded,)

    effort = LossEffort(views=1, noises=1)
    given = model_losses(Mirror(), bytes_as_words, views, [0, 1], 0.9, True, effort)["right"]
    noised = model_losses(Mirror(), bytes_as_words, views, [0, 1], 0.9, False, effort)["right"]
    geometry = picture.GEOMETRY
    assert np.allclose(given[:, picture.COLOR], noised[:, picture.COLOR])
    assert not np.allclose(given[:, geometry], noised[:, geometry], rtol=0.05)


def test_only_asymmetric_models_count_for_the_camera() -> None:
    rows = loss_rows(Deaf(), bytes_as_words, asymmetric_views(), EFFORT)
    assert all(row.how.startswith("2 asymmetric") for row in rows if row.what.startswith("camera"))
    assert all(row.how.startswith("3 held-out") for row in rows if row.what.startswith("caption"))
    assert sum(row.target is not None for row in rows) == 4


def test_measurements_repeat() -> None:
    views = asymmetric_views()
    network = Listener(bytes_as_words([fullest_caption(views, 0)]))
    first, second = (loss_rows(network, bytes_as_words, views, EFFORT) for _ in range(2))
    assert first == second


def test_the_interval_holds_the_ratio_and_narrows_with_more_models() -> None:
    random = np.random.default_rng(0)
    widths = []
    for count in (20, 2000):
        right = random.uniform(1, 2, count)
        ratio, low, high = bootstrap_ratio(right * random.normal(1.2, 0.2, count), right, 0)
        assert low < ratio < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 5
    assert bootstrap_ratio(np.full(5, 3.0), np.full(5, 2.0), 0) == (1.5, 1.5, 1.5)


def test_wilson_agrees_with_the_textbook() -> None:
    """Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    known = {(81, 263): (0.2553, 0.3662), (15, 148): (0.0624, 0.1605), (0, 20): (0.0, 0.1611), (1, 29): (0.0061, 0.1718)}
    for (hits, count), (low, high) in known.items():
        assert wilson(hits, count)[1:] == pytest.approx((low, high), abs=6e-5)
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)


def test_the_table_tells_what_holds_and_what_fails() -> None:
    nan = float("nan")
    rows = [
        Row("a", 1.2, 1.1, 1.3, "", target=1.25),
        Row("b", 0.86, 0.8, 0.9, "", target=0.85, percent=True),
        Row("c", 0.0, nan, nan, "", most=0.0),
        Row("d", 1.0, nan, nan, "", most=0.0),
        Row("e", 3.0, nan, nan, "explains"),
    ]
    assert [row.verdict for row in rows] == ["fails", "holds", "holds", "fails", ""]
    assert "| b | ≥ 85 % | 86.0 % | 80.0 % – 90.0 % | holds |" in markdown(rows)


def test_strangers_are_called_otherwise_and_are_many() -> None:
    nouns = ["chair", "chair", "sofa", "lamp", "desk", "bed"]
    for noun, strangers in zip(nouns, strangers_of(nouns, 4), strict=True):
        assert noun not in {nouns[stranger] for stranger in strangers}
        assert len(set(strangers)) == 4
    with pytest.raises(ValueError, match="two names"):
        strangers_of(["chair", "chair"], 4)
