"""One way of distilling refines one subject for a few steps, keeping its topology."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.guided import Distillation, Question, distillation_loss
from maquette_backend.guidance.schedule import TimeSchedule
from maquette_backend.priors.prior import Prior, Views
from maquette_backend.priors.starter.picture import join
from maquette_backend.refine.keep_topology import OffsetBody, OffsetSettings
from maquette_backend.refine.plan import JOINT_WEIGHTS
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.viewpoints import ViewSampler, cameras_for
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import render_views

VIEWS = 4
SIZE = 64
_COLOR_RATE = 0.02


@dataclass(frozen=True)
class Subject:
    """What is refined, in unit space."""

    positions: NDArray[np.float32]
    triangles: NDArray[np.int32]
    prompt: str


@dataclass(frozen=True)
class Probe:
    """How results are scored."""

    times: tuple[float, ...] = (0.4, 0.6, 0.8)
    """Diffusion times."""
    noises: int = 2
    """So often each."""


@dataclass(frozen=True)
class Bench:
    """What every trial shares."""

    prior: Prior
    rasterizer: Rasterizer
    sampler: ViewSampler
    subject: Subject
    steps: int
    seed: int
    probe: Probe = Probe()


@dataclass(frozen=True)
class Trial:
    """What one way changes."""

    body: OffsetBody
    color: ColorField
    optimiser: torch.optim.Adam

    @property
    def drift(self) -> float:
        """Root mean square movement of a vertex, longest sides."""
        moved = torch.from_numpy(self.body.object_offsets())
        return float(moved.square().sum(1).mean().sqrt())


def begin(bench: Bench) -> Trial:
    """The subject as it came, grey."""
    body = OffsetBody(bench.subject.positions, bench.subject.triangles, OffsetSettings(bound=0.1))
    color = ColorField()
    groups = [
        {"params": list(color.parameters()), "lr": _COLOR_RATE},
        {"params": list(body.parameters()), "lr": body.learning_rate},
    ]
    return Trial(body, color, torch.optim.Adam(groups, betas=(0.9, 0.99)))


def take_step(bench: Bench, trial: Trial, distiller: Distiller, number: int) -> None:
    """Step ``number`` of ``bench.steps``, in place; every way draws the same random numbers for it."""
    prior, advice = bench.prior, bench.prior.settings
    generator = generator_for(bench.seed, "ablate", number)
    progress = number / bench.steps
    views = bench.sampler.sample(VIEWS, generator)
    time = TimeSchedule(advice.geometry_time_start, advice.geometry_time_end).sample(progress, VIEWS, generator)
    encoded = prior.encode_image(pictures(bench, trial, views))
    noise = torch.randn(encoded.shape, generator=generator)
    text, negative = (prior.encode_text([words] * VIEWS).data for words in (bench.subject.prompt, ""))
    settings = Distillation(advice.geometry_scale, joint_weights=JOINT_WEIGHTS)
    question = Question(
        prior, encoded.detach(), text, negative, views, time, noise, "joint", settings, progress=progress
    )
    loss = distillation_loss(encoded, distiller.guide(question))
    trial.optimiser.zero_grad(set_to_none=True)
    (loss + trial.body.penalty(trial.body.surface())).backward()
    trial.optimiser.step()


def pictures(bench: Bench, trial: Trial, views: Views) -> Tensor:
    """[views,7,64,64] in −1..1, differentiable."""
    surface = trial.body.surface()
    seen = render_views(
        bench.rasterizer,
        surface.positions,
        surface.triangles,
        trial.color,
        cameras_for(views),
        SIZE,
        topology=surface.topology,
    )
    return join(seen.color, seen.normal, seen.mask)
