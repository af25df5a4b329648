"""The measurement itself is measured: on networks whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from maquette_backend.priors.starter.model import Denoiser, DenoiserConfig
from maquette_backend.priors.starter.training.evaluate import (
    Effort,
    bootstrap_ratio,
    evaluate,
    markdown,
    model_losses,
    strangers_of,
)
from small_views import small_views
from torch import Tensor

EFFORT = Effort(views=2, noises=2)
CONFIG = DenoiserConfig(channels=8, multipliers=(1, 2), embedding_size=16)


class Listener(Denoiser):
    """Predicts only from one condition: nothing if it hears what belongs to the picture, else an error."""

    def __init__(self, right: Tensor) -> None:
        super().__init__(CONFIG)
        self.right = right

    def forward(self, noisy: Tensor, time: Tensor, text: Tensor, camera: Tensor, modality: Tensor) -> Tensor:
        is_wrong = (text - self.right).abs().amax(1) > 1e-3
        return torch.zeros_like(noisy) + 10 * is_wrong[:, None, None, None]


def test_a_deaf_network_scores_exactly_one() -> None:
    denoiser = Denoiser(CONFIG).eval()  # a fresh network's last layer is zero
    rows = evaluate(denoiser, small_views(), EFFORT)
    assert {(row.ratio, row.low, row.high) for row in rows} == {(1.0, 1.0, 1.0)}


def test_a_network_that_listens_to_the_caption_only_is_found_out() -> None:
    views = small_views()
    losses = model_losses(Listener(views.texts[1, 0, 0]), views, [1, 1, 2], 0, 0.9, EFFORT)
    assert (losses["caption shuffled"][:2] > 50 * losses["right"][:2]).all()
    assert np.array_equal(losses["camera + 90°"], losses["right"])


def test_measurements_repeat() -> None:
    torch.manual_seed(0)
    denoiser = Denoiser(CONFIG).eval()
    torch.nn.init.normal_(denoiser.head.weight, std=0.1)
    first, second = (evaluate(denoiser, small_views(), EFFORT) for _ in range(2))
    assert first == second
    assert markdown(first).count("gate") == 1
    assert markdown(first).count("fails") == 2


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


def test_strangers_bear_other_names_and_are_many() -> None:
    names = ["Chair", "chair", "Sofa", "Lamp", "Desk", "Bed"]
    for name, strangers in zip(names, strangers_of(names, 4), strict=True):
        assert name.lower() not in {names[stranger].lower() for stranger in strangers}
        assert len(set(strangers)) == 4
    with pytest.raises(ValueError, match="two names"):
        strangers_of(["Chair", "chair (old)"], 4)
