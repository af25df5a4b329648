"""Weightings, schedules, Perp-Neg, HiFA's image loss, several priors: each against what it is by definition."""

from __future__ import annotations

import math
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch
from gaussian_prior import GaussianPrior
from maquette_backend.guidance import weights
from maquette_backend.guidance.build import build_distiller, opened
from maquette_backend.guidance.catalogue import method_names
from maquette_backend.guidance.guided import Distillation, Guided, Question
from maquette_backend.guidance.hifa import image_loss
from maquette_backend.guidance.perp_neg import PerpNeg, SideTexts, perpendicular, side_directions
from maquette_backend.guidance.schedule import ScaleSchedule, SquareRootTimes
from maquette_backend.guidance.sds import Sds
from maquette_backend.guidance.several import Voice, several_loss
from maquette_backend.priors.prior import Views
from torch import Tensor

SIDE = 4


def randn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def views_at(*azimuths_deg: float) -> Views:
    azimuth = torch.deg2rad(torch.tensor(azimuths_deg, dtype=torch.float64))
    one = torch.ones_like(azimuth)
    return Views(azimuth, 0.3 * one, 2 * one, 0.7 * one)


PAPERS = {
    weights.one_minus_alpha_bar: lambda kept: 1 - kept,
    weights.fantasia_early: lambda kept: kept.sqrt() * (1 - kept),
    weights.fantasia_late: lambda kept: 1 / (1 - kept),
    weights.uniform: torch.ones_like,
    weights.clean_distance: lambda kept: ((1 - kept) / kept).sqrt(),
}


@pytest.mark.parametrize("weighting", PAPERS)
def test_weights_are_the_papers_times_alpha_over_sigma(weighting: weights.Weighting) -> None:
    kept = torch.linspace(0.01, 0.99, 50, dtype=torch.float64)
    alpha, sigma = kept.sqrt(), (1 - kept).sqrt()
    torch.testing.assert_close(weighting(alpha, sigma, 0.0) * sigma / alpha, PAPERS[weighting](kept))


def test_fantasias_third_strategy_switches_from_the_first_to_the_second() -> None:
    alpha, sigma = torch.tensor([0.8]), torch.tensor([0.6])
    switch = weights.fantasia_switch(0.5)
    assert torch.equal(switch(alpha, sigma, 0.49), weights.fantasia_early(alpha, sigma, 0.49))
    assert torch.equal(switch(alpha, sigma, 0.5), weights.fantasia_late(alpha, sigma, 0.5))


def test_settings_weighting_takes_the_place_of_the_methods_own() -> None:
    prior = GaussianPrior(lambda text, views, modality: torch.zeros(1, 3, SIDE, SIDE), 0.4)
    asked = ask(prior, randn(2, 3, SIDE, SIDE, seed=1), Distillation(1.0, 0.0, weighting=weights.uniform))
    alpha, sigma = asked.scales
    torch.testing.assert_close(Sds().guide(asked).weight, (alpha / sigma).expand(2, 1, 1, 1))


def test_square_root_times_fall_from_high_to_low() -> None:
    times = SquareRootTimes(0.98, 0.02)
    assert times.bounds(0.0) == (0.98, 0.98)
    assert times.bounds(1.0) == pytest.approx((0.02, 0.02))
    assert times.bounds(0.25)[0] == pytest.approx(0.5)
    assert times.sample(0.25, 3, torch.Generator()).tolist() == pytest.approx([0.5] * 3)


def ask(prior: GaussianPrior, picture: Tensor, settings: Distillation, seed: int = 3, time: float = 0.4) -> Question:
    count = len(picture)
    rows, times = torch.ones(count, 1), torch.full((count,), time, dtype=torch.float64)
    seen = views_at(*[0.0] * count)
    return Question(prior, picture, rows, 0 * rows, seen, times, randn(*picture.shape, seed=seed), "color", settings)


def test_a_scale_moves_evenly_from_start_to_end() -> None:
    assert [ScaleSchedule(100.0, 20.0).at(progress) for progress in (0.0, 0.25, 1.0)] == [100.0, 80.0, 20.0]


@dataclass(frozen=True)
class Decoding(GaussianPrior):
    def decode_image(self, encoded: Tensor) -> Tensor:
        return encoded / self.contrast


def test_image_loss_pulls_towards_the_decoded_estimate() -> None:
    prior = Decoding(lambda text, views, modality: torch.zeros(1), 0.4, contrast=2.0)
    image, target = randn(2, 3, SIDE, SIDE, seed=1).requires_grad_(), randn(2, 3, SIDE, SIDE, seed=2).requires_grad_()
    weight = torch.tensor([0.5, 2.0], dtype=torch.float64).view(2, 1, 1, 1)
    image_loss(prior, image, Guided(target, weight), share=0.01).backward()
    torch.testing.assert_close(image.grad, 0.01 * weight * (image.detach() - target.detach() / 2) / (2 * SIDE))
    assert target.grad is None


def test_image_loss_heeds_a_weight_for_each_place_in_a_smaller_encoding() -> None:
    """Where the estimate has no say, the picture is not pulled either."""
    prior = Decoding(lambda text, views, modality: torch.zeros(1), 0.4)
    image = randn(1, 3, SIDE, SIDE, seed=1).requires_grad_()
    weight = torch.tensor([[1.0, 0.0], [2.0, 1.0]], dtype=torch.float64).view(1, 1, 2, 2)
    target = randn(1, 3, SIDE, SIDE, seed=2)
    image_loss(prior, image, Guided(target, weight), share=1.0).backward()
    each = weight.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(image.grad, each * (image.detach() - target) / SIDE)


SIDES = SideTexts(*(torch.tensor([[float(value)]], dtype=torch.float64) for value in (1, 2, 3)))


@pytest.mark.parametrize(
    ("azimuth_deg", "wanted", "unwanted", "expected"),
    [
        (0, 1.0, (1, 2), (4 * math.exp(-0.5) - 2.426, 4 - 2.426)),
        (45, 1.5, (1, 2), (4 * math.exp(-0.25) - 2.426,) * 2),
        (-135, 2.5, (2, 1), (math.exp(-0.25) - 0.606, math.exp(-0.25) + 0.967)),
        (180, 3.0, (2, 1), (1 - 0.606, 1 + 0.967)),
    ],
)
def test_sides_are_mixed_and_weighed(
    azimuth_deg: float, wanted: float, unwanted: tuple[float, float], expected: tuple[float, float]
) -> None:
    """Perp-Neg's interpolation, its constants written out."""
    told = side_directions(SIDES, views_at(azimuth_deg).azimuth)
    assert float(told.wanted) == pytest.approx(wanted, abs=1e-6)
    assert tuple(float(text) for text in told.unwanted) == unwanted
    assert tuple(float(weight) for weight in told.weights) == pytest.approx([-value for value in expected], abs=1e-6)


def test_perpendicular_parts_are_that_and_nothing_is_lost() -> None:
    main, other = randn(3, 2, 4, 4, seed=1), randn(3, 2, 4, 4, seed=2)
    part = perpendicular(other, main)
    assert float((part * main).flatten(1).sum(1).abs().max()) < 1e-12
    along = other - part
    torch.testing.assert_close(perpendicular(along, main), torch.zeros_like(main))
    assert torch.equal(perpendicular(other, torch.zeros_like(main)), other)


def test_sides_that_only_speak_against_the_wanted_one_are_not_pushed_away() -> None:
    """All texts along one mean: their perpendicular parts vanish, and classifier-free guidance is left."""
    mean = randn(1, 3, SIDE, SIDE, seed=5)
    prior = GaussianPrior(lambda text, views, modality: text.view(-1, 1, 1, 1) * mean, 0.4)
    asked = ask(prior, randn(1, 3, SIDE, SIDE, seed=1), Distillation(9.0, 0.0))
    got = Sds(PerpNeg(SIDES)).guide(asked)  # from the front: the text that is 1
    torch.testing.assert_close(got.denoised, Sds().guide(asked).denoised)


def test_unwanted_sides_are_pushed_away_at_right_angles() -> None:
    axes = [randn(1, 3, SIDE, SIDE, seed=seed) for seed in (5, 6)]
    across = perpendicular(axes[1], axes[0])
    prior = GaussianPrior(
        lambda text, views, modality: (text > 0).view(-1, 1, 1, 1) * axes[0] + (text == 2).view(-1, 1, 1, 1) * across,
        0.4,
    )
    asked = ask(prior, randn(1, 3, SIDE, SIDE, seed=1), Distillation(2.0, 0.0))
    noisy, time = asked.noisy(), asked.time
    estimate, plain = PerpNeg(SIDES)(asked, noisy, time), Sds().estimator(asked, noisy, time)
    pulled = prior.predict_denoised(noisy, time, torch.tensor([[2.0]]), None, "color") - estimate.plain
    weight = -(4 - 2.426)  # of the side, seen from the front
    torch.testing.assert_close(estimate.guided, plain.guided + 2.0 * weight * pulled)


def test_several_priors_settle_between_their_means_by_weight() -> None:
    """Exact priors of one spread pull alike, so the rest is at the weighted mean; each sees its own encoding."""
    means = [randn(1, 3, SIDE, SIDE, seed=seed) for seed in (5, 6)]
    contrasts = (1.0, 2.0)
    voices = [
        Voice(
            str(n), GaussianPrior(lambda text, views, modality, m=c * m: m, 0.0, contrast=c), Sds(), weight
        )
        for n, (m, c, weight) in enumerate(zip(means, contrasts, (3.0, 0.5), strict=True))
    ]
    picture = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([picture], lr=1.0)

    def asked(voice: Voice) -> tuple[Tensor, Question]:
        encoded = voice.prior.encode_image(picture)
        return encoded, ask(voice.prior, encoded.detach(), Distillation(1.0, 0.0))  # type: ignore[arg-type]

    for _ in range(60):
        optimiser.zero_grad()
        several_loss(voices, asked).backward()
        optimiser.step()
    shares = [weight * contrast**2 for weight, contrast in zip((3.0, 0.5), contrasts, strict=True)]
    expected = (shares[0] * means[0] + shares[1] * means[1]) / sum(shares)
    torch.testing.assert_close(picture.detach(), expected, rtol=1e-4, atol=1e-4)


def test_every_name_builds_and_the_list_needs_no_torch() -> None:
    prior = GaussianPrior(lambda text, views, modality: torch.zeros(1, 3, SIDE, SIDE), 0.4)
    assert method_names() == ("sds", "csd", "vsd", "ism", "sjc")
    for name in method_names():
        if name == "vsd":
            with pytest.raises(ValueError, match="gaussian does not let"):
                build_distiller(name, prior)
        else:
            assert build_distiller(name, prior).arrays() == {}
    with pytest.raises(ValueError, match="gaussian"):
        opened(prior)
    code = "import sys, maquette_backend.guidance.catalogue; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0
