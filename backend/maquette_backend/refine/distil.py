"""One optimisation loop for both stages: render views, ask the prior, step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.guided import Distillation, Guided, Question, distillation_loss
from maquette_backend.guidance.hifa import Decodes, image_loss
from maquette_backend.guidance.prompts import view_prompt
from maquette_backend.guidance.schedule import Times, TimeSchedule
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.prior import Modality, Prior, Views
from maquette_backend.priors.starter.picture import join
from maquette_backend.refine.surface import Body, Surface
from maquette_backend.refine.viewpoints import ViewSampler, cameras_for
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import render_views


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
    image_loss: float = 0.0
    """What the distance in the picture itself counts for, besides the one in the prior's encoding."""


@dataclass(frozen=True)
class Scene:
    """What a stage works with: everything that stays the same over its steps."""

    prior: Prior
    rasterizer: Rasterizer
    sampler: ViewSampler
    prompt: str
    negative_prompt: str
    view_dependent: bool
    distiller: Distiller = Sds()  # noqa: RUF009 - frozen, and it keeps no state
    """How the prior's score becomes a pull. Who made it closes it."""

    def conditions(self, views: Views) -> tuple[Tensor, Tensor]:
        """Text and negative conditions, one row per view."""
        count = len(views.azimuth)
        negative = self.prior.encode_text([self.negative_prompt] * count).data
        if self.prior.settings.camera_conditioned or not self.view_dependent:
            return self.prior.encode_text([self.prompt] * count).data, negative
        angles = zip(views.azimuth.tolist(), views.elevation.tolist(), strict=True)
        return self.prior.encode_text([view_prompt(self.prompt, *angle) for angle in angles]).data, negative


@dataclass(frozen=True)
class Trained:
    """What a stage changes: the shape, its colour, and the optimiser's memory."""

    body: Body
    color: ColorField
    optimiser: torch.optim.Adam


def trained(body: Body, color: ColorField, settings: StageSettings) -> Trained:
    """With a fresh Adam (betas as in the distillation literature: 0.9, 0.99)."""
    groups = [
        {"params": [color.base], "lr": settings.base_rate},
        {"params": list(color.grid.parameters()), "lr": settings.color_rate},
    ]
    moving = list(body.parameters())
    if moving:
        groups.append({"params": moving, "lr": body.learning_rate})
    return Trained(body, color, torch.optim.Adam(groups, betas=(0.9, 0.99)))


def step(state: Trained, scene: Scene, settings: StageSettings, progress: float, generator: torch.Generator) -> float:
    """One step in place, ``progress`` 0..1 through the stage; returns the distillation loss."""
    device = scene.prior.settings.device  # drawn on the CPU, so that a seed means the same everywhere
    views = scene.sampler.sample(settings.views, generator).to(device)
    modality = "normal" if torch.rand(1, generator=generator).item() < settings.normal_share else settings.modality
    schedule, distillation = at_stage(settings, progress)
    together = scene.prior.settings.views_together
    time = schedule.sample(progress, settings.views // together, generator).repeat_interleave(together).to(device)
    surface = state.body.surface()
    image, mask = _image(surface, state.color, scene.rasterizer, views, settings.size, modality)
    encoded = scene.prior.encode_image(image)
    noise = torch.randn(encoded.shape, generator=generator).to(device)
    text, negative = scene.conditions(views)
    question = Question(
        scene.prior, encoded.detach(), text, negative, views, time, noise, modality, distillation, progress, mask
    )
    loss = stage_loss(image, encoded, scene.distiller.guide(question), scene.prior, settings)
    state.optimiser.zero_grad(set_to_none=True)
    (loss + state.body.penalty(surface)).backward()
    for parameter in state.color.grid.parameters() if progress < settings.base_share else [state.color.base]:
        parameter.grad = None
    state.optimiser.step()
    return float(loss.detach())


def stage_loss(image: Tensor, encoded: Tensor, guided: Guided, prior: Prior, settings: StageSettings) -> Tensor:
    """The pull on the encoding, and on the picture itself where the settings ask for it; scalar."""
    loss = distillation_loss(encoded, guided)
    if settings.image_loss and isinstance(prior, Decodes):
        loss = loss + image_loss(prior, image, guided, settings.image_loss)
    return loss


def at_stage(settings: StageSettings, progress: float) -> tuple[Times, Distillation]:
    """Diffusion times and guidance at ``progress``: others while the overall colour is learned."""
    if progress >= settings.base_share:
        return settings.schedule, settings.distillation
    times = settings.schedule if settings.base_times is None else TimeSchedule(settings.base_times, settings.base_times)
    return times, replace(settings.distillation, scale=settings.distillation.scale * settings.base_emphasis)


def _image(
    surface: Surface, color: ColorField, rasterizer: Rasterizer, views: Views, size: int, modality: Modality
) -> tuple[Tensor, Tensor]:
    """[views,3,size,size], or [views,7,size,size] where the modality shows colour and geometry together; and the
    rasteriser's coverage [views,1,size,size], without a tape."""
    rendering = render_views(
        rasterizer,
        surface.positions,
        surface.triangles,
        None if modality == "normal" else color,
        cameras_for(views),
        size,
        topology=surface.topology,
    )
    mask = rendering.mask.detach()
    if modality == "color" or modality == "normal":
        return rendering.color if modality == "color" else rendering.normal, mask
    return join(rendering.color, rendering.normal, rendering.mask), mask
