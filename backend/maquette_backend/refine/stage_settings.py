"""What a stage asks of a step, and what of it holds at a given moment."""

from __future__ import annotations

from dataclasses import dataclass, replace

from maquette_backend.guidance.guided import Distillation
from maquette_backend.guidance.schedule import ScaleSchedule, Times, TimeSchedule
from maquette_backend.guidance.weights import one_minus_alpha_bar
from maquette_backend.priors.prior import Modality


@dataclass(frozen=True)
class StageSettings:
    """What a stage asks of a step."""

    schedule: Times
    distillation: Distillation
    views: int
    size: int
    modality: Modality
    """What the prior is asked about."""
    normal_share: float
    """Share of the steps that ask about normals instead."""
    color_rate: float
    """Adam's learning rate of the colour field."""
    base_rate: float = 0.15
    """Adam's learning rate of the subject's overall colour, while that is learned."""
    base_share: float = 0.2
    """The overall colour alone is learned during this first share of the stage, and then held."""
    base_emphasis: float = 1.0
    """What the guidance scale is multiplied by meanwhile."""
    base_times: tuple[float, float] | None = None
    """Diffusion times meanwhile; None: the schedule's."""
    base_again: float = 0.0
    """Share of the later steps that go back to it. At its times the prior says what colour it should be; at the schedule's it
    takes what it sees, and what chance adds up to there would carry the colour away."""
    image_loss: float = 0.0
    """What the distance in the picture itself counts for, besides the one in the prior's encoding."""
    scale_end: float | None = None
    """The guidance scale at the end of the stage, towards which ``distillation``'s moves evenly; None: it stays."""
    latent_share: float = 0.0
    """The first share of the stage, in which normals are shown as latents."""


def at_step(settings: StageSettings, draw: float) -> StageSettings:
    """The settings of one step, ``draw`` 0..1 its random number: some learn the overall colour whatever the progress."""
    return replace(settings, base_share=1.0) if draw < settings.base_again else settings


def at_stage(settings: StageSettings, progress: float) -> tuple[Times, Distillation]:
    """Diffusion times and guidance at ``progress``: others while the overall colour is learned, w = 1 − ᾱ while normals are
    shown as latents (X-Dreamer)."""
    distillation = settings.distillation
    if settings.scale_end is not None:
        distillation = replace(distillation, scale=ScaleSchedule(distillation.scale, settings.scale_end).at(progress))
    if progress < settings.latent_share:
        distillation = replace(distillation, weighting=one_minus_alpha_bar)
    if progress >= settings.base_share:
        return settings.schedule, distillation
    times = settings.schedule if settings.base_times is None else TimeSchedule(settings.base_times, settings.base_times)
    return times, replace(distillation, scale=distillation.scale * settings.base_emphasis)
