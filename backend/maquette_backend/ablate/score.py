"""How good a refined subject is, by measures that no way of distilling was written in."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.ablate.trial import Bench, Probe, Trial, pictures
from maquette_backend.guidance.adapted import Adaptation, attention_layers
from maquette_backend.guidance.ama import agreement, recorded_maps
from maquette_backend.guidance.build import opened
from maquette_backend.guidance.camera_guided import CameraGuided, coverage
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.guided import Distillation, Question
from maquette_backend.guidance.velocity_loss import velocity_loss
from maquette_backend.priors.prior import Prior, Views

UNSEEN = 8


@dataclass(frozen=True)
class Score:
    """Measured over eight views that refinement never drew exactly."""

    prior_loss: float
    """The plain prior's v-loss on the renders under the prompt: less is nearer to what it knows."""
    text_gain: float
    """How much worse that is without the prompt: more says that the prompt is seen."""
    agreement: float
    """Mean correlation of attention at the object's token with the silhouette, with the adapters where there are any."""


@torch.no_grad()
def score(bench: Bench, trial: Trial, distiller: Distiller) -> Score:
    """Every way is shown the same views, times and noise."""
    encoded = bench.prior.encode_image(pictures(bench, trial, unseen_views()))
    return score_pictures(bench.prior, encoded, bench.subject.prompt, bench.probe, distiller)


@torch.no_grad()
def score_pictures(
    prior: Prior, encoded: Tensor, prompt: str, probe: Probe | None = None, distiller: Distiller | None = None
) -> Score:
    """Of pictures [8,7,64,64] seen from ``unseen_views``, encoded; without a distiller by the plain prior alone."""
    told, untold = (_questions(prior, encoded, words, probe or Probe()) for words in (prompt, ""))
    losses = [sum(_loss(question) for question in asked) / len(asked) for asked in (told, untold)]
    agreements = [_agreement(question, distiller) for question in told[:: (probe or Probe()).noises]]
    return Score(losses[0], losses[1] / losses[0] - 1, sum(agreements) / len(agreements))


def unseen_views() -> Views:
    """Evenly round, from two heights."""
    azimuth = torch.arange(UNSEEN) * (math.tau / UNSEEN) + math.radians(22.5)
    elevation = torch.tensor([math.radians(12.0), math.radians(28.0)]).repeat(UNSEEN // 2)
    one = torch.ones(UNSEEN)
    return Views(azimuth, elevation, 2.0 * one, math.radians(40.0) * one)


def _questions(prior: Prior, encoded: Tensor, words: str, probe: Probe) -> list[Question]:
    views = unseen_views()
    text, empty = (prior.encode_text([what] * UNSEEN).data for what in (words, ""))
    questions = []
    for time in probe.times:
        for number in range(probe.noises):
            noise = torch.randn(encoded.shape, generator=torch.Generator().manual_seed(number))
            times = torch.full((UNSEEN,), time)
            settings = Distillation(1.0)
            questions.append(Question(prior, encoded, text, empty, views, times, noise, "joint", settings))
    return questions


def _loss(question: Question) -> float:
    clean = question.prior.predict_denoised(
        question.noisy(), question.time, question.text, question.views, question.modality
    )
    return float(velocity_loss(question, clean, question.time))


def _agreement(question: Question, distiller: Distiller | None) -> float:
    if isinstance(distiller, CameraGuided):
        session = distiller.session
        with session.telling(distiller.telling_of(question)):
            return _maps_agree(question, session.adaptation)
    adaptation = Adaptation(attention_layers(opened(question.prior).denoiser(), cross_only=True))
    try:
        return _maps_agree(question, adaptation)
    finally:
        adaptation.close()


def _maps_agree(question: Question, adaptation: Adaptation) -> float:
    tokens = opened(question.prior).object_tokens(question.text)
    with recorded_maps(adaptation, tokens, stop=True) as maps:
        _loss(question)
    return agreement(list(maps.values()), coverage(question))
