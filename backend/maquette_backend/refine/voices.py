"""Further priors in a stage: each is shown the step's picture at a size of its own, and asked at its own times and scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from maquette_backend.guidance.guided import Guided, Question
from maquette_backend.guidance.several import Voice, several_loss
from maquette_backend.priors.prior import Modality, Prior, Views
from maquette_backend.refine.stage_settings import StageSettings, at_stage


@dataclass(frozen=True)
class Voices:
    """Those of one stage. Who made their distillers closes them."""

    voices: tuple[Voice, ...] = ()
    settings: Mapping[str, StageSettings] = field(default_factory=dict)
    """By the voice's name."""


@dataclass(frozen=True)
class Shown:
    """What a step has drawn, whichever prior looks at it."""

    picture: Callable[[Modality], Tensor]
    """[B,3,S,S] or [B,7,S,S] of a modality, on a tape."""
    mask: Tensor
    """[B,1,S,S] coverage 0..1, without one."""
    views: Views
    words: Callable[[Prior], tuple[Tensor, Tensor]]
    """Text and negative conditions of a prior, one row per view."""


def voices_loss(
    heard: Voices,
    shown: Shown,
    progress: float,
    generator: torch.Generator,
    heed: Callable[[Guided], Guided] = lambda guided: guided,
) -> Tensor:
    """What the further priors say, by their weights; scalar. Draws times and noise after those of the stage's own prior."""

    def ask(voice: Voice) -> tuple[Tensor, Question]:
        settings, prior = heard.settings[voice.name], voice.prior
        schedule, distillation = at_stage(settings, progress)
        look_at_normals = torch.rand(1, generator=generator).item() < settings.normal_share
        modality: Modality = "normal" if look_at_normals else settings.modality
        count, together = len(shown.mask), prior.settings.views_together
        time = schedule.sample(progress, count // together, generator).repeat_interleave(together)
        encoded = prior.encode_image(resized(shown.picture(modality), settings.size))
        noise = torch.randn(encoded.shape, generator=generator).to(encoded)
        question = Question(
            prior, encoded.detach(), *shown.words(prior), shown.views, time.to(encoded.device), noise, modality,
            distillation, progress, shown.mask,
        )  # fmt: skip
        return encoded, question

    return several_loss(heard.voices, ask, heed)


def resized(picture: Tensor, size: int) -> Tensor:
    """[B,C,S,S] → [B,C,size,size], every pixel heard."""
    if picture.shape[-1] == size:
        return picture
    return nn.functional.interpolate(
        picture, (size, size), mode="bilinear", antialias=size < picture.shape[-1], align_corners=False
    )
