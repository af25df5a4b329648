"""VSD's score of the renders inside a network: nothing at the start, learns, is kept, leaves no trace."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from maquette_backend.guidance.guided import Distillation, Question
from maquette_backend.guidance.render_score import LoraRenderScore, RenderScoreSettings, pose_vector
from maquette_backend.guidance.vsd import Vsd
from maquette_backend.priors.prior import Views
from test_guidance_cg_lora import told_and_untold, tree
from tiny_prior import TinyPrior, tiny_question
from torch import nn


def score(prior: TinyPrior, rate: float = 0.01, **more: float) -> LoraRenderScore:
    made = LoraRenderScore(prior, RenderScoreSettings(rate=rate, **more))  # pyright: ignore[reportArgumentType]
    made.lora.double()
    return made


def test_nothing_pulls_before_it_has_learned() -> None:
    """At scale 1 both scores are the network's own: the difference is 0 to the last bit."""
    asked = tiny_question(prior := TinyPrior(joined=False), scale=1.0)
    way = Vsd(score(prior))
    first = way.guide(asked)
    assert float((first.denoised - asked.encoded).abs().max()) < 1e-12
    second = way.guide(asked)
    assert float((second.denoised - asked.encoded).abs().max()) > 1e-6


def test_it_learns_the_renders_and_the_prior_stays_as_it_was() -> None:
    prior = TinyPrior()
    asked = tiny_question(prior)
    before, plain = tree(prior.network), told_and_untold(asked)
    renders = score(prior, rate=0.02)
    loss = lambda: sum(float(renders.loss(asked, torch.Generator().manual_seed(n)).detach()) for n in range(5))  # noqa: E731
    at_first = loss()
    for number in range(25):
        renders.learn(replace(asked, noise=asked.noise + number))  # other noise, other times
    assert loss() < 0.95 * at_first
    assert all(torch.equal(*pair) for pair in zip(told_and_untold(asked), plain, strict=True))
    renders.close()
    assert tree(prior.network) == before


def test_the_pose_is_heard_and_dropped() -> None:
    prior = TinyPrior()
    asked = tiny_question(prior)
    renders = score(prior)
    with torch.no_grad():
        renders.lora.pose_out.normal_(generator=torch.Generator().manual_seed(1))
    turned = replace(asked, views=Views(*(part + 1 for part in vars(asked.views).values())))
    noisy = asked.noisy()
    assert not torch.allclose(renders.denoised(asked, noisy), renders.denoised(turned, noisy))
    renders.settings = RenderScoreSettings(drop=1.0)
    losses = [float(renders.loss(one, torch.Generator().manual_seed(5)).detach()) for one in (asked, turned)]
    assert losses[0] == losses[1]
    renders.settings = RenderScoreSettings(drop=0.0)
    losses = [float(renders.loss(one, torch.Generator().manual_seed(5)).detach()) for one in (asked, turned)]
    assert losses[0] != losses[1]


def test_pose_by_hand() -> None:
    """The camera stands where it should, sees the origin in front of it, and turns rigidly."""
    one = torch.ones(1)
    pose = pose_vector(Views(math.radians(90) * one, math.radians(30) * one, 2 * one, one)).view(4, 4)
    eye = torch.tensor([2 * math.cos(math.radians(30)), 0.0, 1.0, 1.0])
    torch.testing.assert_close(pose @ eye, torch.tensor([0.0, 0, 0, 1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(pose @ torch.tensor([0.0, 0, 0, 1]), torch.tensor([0.0, 0, -2, 1]), atol=1e-6, rtol=0)
    torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3), atol=1e-6, rtol=0)
    assert float(torch.linalg.det(pose[:3, :3])) == pytest.approx(1)


def test_a_checkpoint_goes_on_where_it_stopped() -> None:
    """Four steps, or two, a checkpoint and two in a fresh network: the same to the last bit."""

    def fresh() -> tuple[Vsd, list[Question]]:
        prior = TinyPrior()
        return Vsd(score(prior)), [tiny_question(prior, seed=number) for number in range(4)]

    whole, questions = fresh()
    expected = [whole.guide(question).denoised for question in questions][-1]
    first, questions = fresh()
    for question in questions[:2]:
        first.guide(question)
    second, questions = fresh()
    second.restore(first.arrays())
    assert torch.equal([second.guide(question).denoised for question in questions[2:]][-1], expected)
    assert all((second.arrays()[name] == array).all() for name, array in whole.arrays().items())


def test_networks_of_another_kind_are_refused() -> None:
    class Other(TinyPrior):
        def denoiser(self) -> nn.Module:
            return nn.Linear(2, 2)

    with pytest.raises(ValueError, match="no time embedding"):
        LoraRenderScore(Other())


def test_settings_reach_the_gradient() -> None:
    asked = tiny_question(prior := TinyPrior())
    free, guided = (
        Vsd(score(prior)).guide(replace(asked, settings=Distillation(scale, rescale=0.0))).denoised for scale in (1, 5)
    )
    assert not torch.allclose(free, guided)
