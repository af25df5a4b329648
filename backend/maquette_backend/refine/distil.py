"""One optimisation loop for both stages: render views, ask the prior, step."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.guided import Guided, Question, distillation_loss
from maquette_backend.guidance.hifa import Decodes, image_loss
from maquette_backend.guidance.latent_normals import as_latents, random_turn
from maquette_backend.guidance.prompts import view_prompt
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.prior import HasLatents, Modality, Prior, Views
from maquette_backend.priors.starter.picture import join
from maquette_backend.refine.hints import Controlled
from maquette_backend.refine.stage_settings import StageSettings, at_stage
from maquette_backend.refine.surface import Body, Surface
from maquette_backend.refine.viewpoints import ViewSampler, cameras_for
from maquette_backend.refine.voices import Shown, Voices, voices_loss
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.shading import Rendering, render_views

__all__ = ["Scene", "StageSettings", "Trained", "at_stage", "stage_loss", "step", "trained"]


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
    voices: Voices = field(default_factory=Voices)
    """What is asked besides."""
    controls: tuple[Controlled, ...] = ()
    """What shows the prior depth or normals, while appearance is refined."""

    def conditions(self, views: Views, asked: Prior | None = None) -> tuple[Tensor, Tensor]:
        """Text and negative conditions of the prior that is ``asked`` (None: its own), one row per view."""
        prior, count = asked or self.prior, len(views.azimuth)
        negative = prior.encode_text([self.negative_prompt] * count).data
        if prior.settings.camera_conditioned or not self.view_dependent:
            return prior.encode_text([self.prompt] * count).data, negative
        angles = zip(views.azimuth.tolist(), views.elevation.tolist(), strict=True)
        return prior.encode_text([view_prompt(self.prompt, *angle) for angle in angles]).data, negative


MOVING = 2
"""Where the shape's parameters begin among the optimiser's groups."""
SLOWEST = 0.05
"""Share of its learning rate at which a shape ends, about."""


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
    surface, latent = state.body.surface(), progress < settings.latent_share
    colored = modality != "normal" and not latent
    drawn = _drawn(surface, state.color if colored or scene.voices.voices else None, scene, views, settings.size)
    image, mask = picture_of(drawn, "normal" if latent else modality), drawn.mask.detach()
    encoded = _latents(drawn, scene.prior, views, generator) if latent else scene.prior.encode_image(image)
    noise = torch.randn(encoded.shape, generator=generator).to(device)
    text, negative = scene.conditions(views)
    question = Question(
        scene.prior, encoded.detach(), text, negative, views, time, noise, modality, distillation, progress, mask
    )
    guided = scene.distiller.guide(question)
    loss = distillation_loss(encoded, guided) if latent else stage_loss(image, encoded, guided, scene.prior, settings)
    shown = Shown(lambda wanted: picture_of(drawn, wanted), mask, views, lambda prior: scene.conditions(views, prior))
    loss = loss + voices_loss(scene.voices, shown, progress, generator).to(loss)
    state.optimiser.zero_grad(set_to_none=True)
    (loss + state.body.penalty(surface)).backward()
    for parameter in state.color.grid.parameters() if progress < settings.base_share else [state.color.base]:
        parameter.grad = None
    for group in state.optimiser.param_groups[MOVING:]:
        group["lr"] = state.body.learning_rate * pace(progress)
    state.optimiser.step()
    return float(loss.detach())


def pace(progress: float) -> float:
    """Share of a shape's learning rate at ``progress`` 0..1 through the stage: whole to the middle, then less and less. A
    prior's answers scatter, and at the whole rate the last of them would stand as dents in the surface."""
    return min(1.0, max(SLOWEST, 2 * (1 - progress)))


def stage_loss(image: Tensor, encoded: Tensor, guided: Guided, prior: Prior, settings: StageSettings) -> Tensor:
    """The pull on the encoding, and on the picture itself where the settings ask for it; scalar."""
    loss = distillation_loss(encoded, guided)
    if settings.image_loss and isinstance(prior, Decodes):
        loss = loss + image_loss(prior, image, guided, settings.image_loss)
    return loss


def picture_of(drawn: Rendering, modality: Modality) -> Tensor:
    """[views,3,S,S], or [views,7,S,S] where the modality shows colour and geometry together."""
    if modality == "color" or modality == "normal":
        return drawn.color if modality == "color" else drawn.normal
    return join(drawn.color, drawn.normal, drawn.mask)


def _drawn(surface: Surface, color: ColorField | None, scene: Scene, views: Views, size: int) -> Rendering:
    cameras = cameras_for(views)
    return render_views(
        scene.rasterizer, surface.positions, surface.triangles, color, cameras, size, topology=surface.topology
    )


def _latents(drawn: Rendering, prior: Prior, views: Views, generator: torch.Generator) -> Tensor:
    """Normals and coverage as latents, turned as the step will have it."""
    assert isinstance(prior, HasLatents)
    camera_from_world = cameras_for(views).camera_from_world
    turn = random_turn(generator).to(drawn.normal)
    return as_latents(drawn.normal, drawn.mask, camera_from_world, turn, prior.latent_shape[1:])
