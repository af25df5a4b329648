"""One step of appearance: show surfaces that do not move, ask the prior, and change what is learned of their looks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from maquette_backend.guidance.guided import Guided, Question
from maquette_backend.priors.prior import Modality, Views
from maquette_backend.priors.starter.picture import join
from maquette_backend.refine.distil import Scene, stage_loss
from maquette_backend.refine.hints import hearing
from maquette_backend.refine.skin import Skin
from maquette_backend.refine.stage_settings import StageSettings, at_stage, at_step
from maquette_backend.refine.unseen import FAR, NEAR, visible
from maquette_backend.refine.viewpoints import cameras_for
from maquette_backend.refine.voices import Shown, voices_loss
from maquette_backend.render.cameras import Cameras, orbit_camera, perspective
from maquette_backend.render.scene_render import Paint, SceneGeometry, SceneRendering, SurfacePoints, render_scene

Prepare = Callable[[torch.Generator], None]
"""Called at the start of a step with its random numbers: new light, for example."""
_RADIUS = 0.9
"""Of a ball around a subject of longest side 1, its corners included."""


@dataclass(frozen=True)
class Veil:
    """Everything else in the scene, in the subject's unit space: what hides it from the artist's cameras."""

    positions: Tensor
    """[V,3]"""
    triangles: Tensor
    """[F,3]"""


@dataclass(frozen=True)
class Stand:
    """What a stage of painting looks at; nothing of it changes over the steps but what the skins learn."""

    scene: Scene
    """Prior, words and where it is looked from."""
    geometry: SceneGeometry
    paints: tuple[Paint, ...]
    """One for each object of ``geometry``."""
    veil: Veil | None = None
    prepare: Prepare | None = None
    penalty: Callable[[], Tensor] | None = None
    """What the materials' regularisers say about the picture that was drawn last."""


@dataclass(frozen=True)
class Painter:
    """What a stage changes: the skins by their subjects' ids, and the optimiser's memory."""

    skins: Mapping[str, Skin]
    optimiser: torch.optim.Adam
    settle: Callable[[], None] | None = None
    """Called after each step: brings values back into their bounds."""


def painter(skins: Mapping[str, Skin], settings: StageSettings, settle: Callable[[], None] | None = None) -> Painter:
    """With a fresh Adam (betas as in the distillation literature: 0.9, 0.99)."""
    overall = [parameter for skin in skins.values() for parameter in skin.overall()]
    detail = [parameter for skin in skins.values() for parameter in skin.detail()]
    groups = [{"params": overall, "lr": settings.base_rate}, {"params": detail, "lr": settings.color_rate}]
    groups = [group for group in groups if group["params"]]
    return Painter(skins, torch.optim.Adam(groups, betas=(0.9, 0.99)), settle)


def paint_step(
    state: Painter, stand: Stand, settings: StageSettings, progress: float, generator: torch.Generator
) -> float:
    """One step in place, ``progress`` 0..1 through the stage; returns the distillation loss."""
    scene = stand.scene
    device = scene.prior.settings.device  # drawn on the CPU, so that a seed means the same everywhere
    views, reach = scene.sampler.sample_with_reach(settings.views, generator)
    views = views.to(device)
    settings = at_step(settings, torch.rand(1, generator=generator).item())
    schedule, distillation = at_stage(settings, progress)
    together = scene.prior.settings.views_together
    time = schedule.sample(progress, settings.views // together, generator).repeat_interleave(together).to(device)
    if stand.prepare is not None:
        stand.prepare(generator)
    drawn = render_scene(scene.rasterizer, stand.geometry, stand.paints, cameras_of(views, stand), settings.size)
    image, mask = picture_of(drawn, settings.modality), drawn.mask.detach()
    encoded = scene.prior.encode_image(image)
    noise = torch.randn(encoded.shape, generator=generator).to(device)
    text, negative = scene.conditions(views)
    question = Question(
        scene.prior, encoded.detach(), text, negative, views, time, noise, settings.modality, distillation, progress, mask
    )
    def heed(guided: Guided) -> Guided:
        return _unveiled(guided, stand, drawn, views, reach)

    with hearing(scene.prior, scene.controls, drawn):
        guided = heed(scene.distiller.guide(question))
    loss = stage_loss(image, encoded, guided, scene.prior, settings)
    shown = Shown(lambda wanted: picture_of(drawn, wanted), mask, views, lambda prior: scene.conditions(views, prior))
    loss = loss + voices_loss(scene.voices, shown, progress, generator, heed).to(loss)
    state.optimiser.zero_grad(set_to_none=True)
    (loss if stand.penalty is None else loss + stand.penalty()).backward()
    _hold(state, settings, progress)
    state.optimiser.step()
    if state.settle is not None:
        state.settle()
    return float(loss.detach())


def picture_of(drawn: SceneRendering, modality: Modality) -> Tensor:
    """[N,3,H,W], or [N,7,H,W] where the prior is shown the geometry too."""
    return drawn.color if modality == "color" else join(drawn.color, drawn.normal, drawn.mask)


def plain_paint(color: tuple[float, float, float], shade: Callable[[Tensor, Tensor], Tensor]) -> Paint:
    """Of what is never changed: one colour, under ``HeadLight.shade``."""

    def paint(seen: SurfacePoints) -> Tensor:
        return seen.points.new_tensor(color) * shade(seen.normal_camera, seen.normal[:, 2])[:, None]

    return paint


def cameras_of(views: Views, stand: Stand) -> Cameras:
    """Framed on the subject; with more in view than one object, neither near nor far is cut off."""
    if len(stand.paints) == 1:
        return cameras_for(views)
    clip_from_camera = perspective(views.fov_y, 1.0, NEAR, FAR)
    return Cameras(orbit_camera(views.azimuth, views.elevation, views.distance), clip_from_camera)


def _hold(state: Painter, settings: StageSettings, progress: float) -> None:
    """The overall look alone is learned, or it is held."""
    begins = progress < settings.base_share
    for skin in state.skins.values():
        for parameter in skin.detail() if begins else skin.overall():
            parameter.grad = None


def _unveiled(guided: Guided, stand: Stand, drawn: SceneRendering, views: Views, reach: Tensor) -> Guided:
    """No say to pixels whose surface the artist's camera, from where it stands, cannot see for what is in front."""
    chosen = reach.nonzero()[:, 0].tolist()
    if stand.veil is None or not chosen:
        return guided
    share = torch.ones_like(drawn.mask)
    for number in chosen:
        points = drawn.points[number].reshape(-1, 3)
        camera = true_camera(views, number, float(reach[number]))
        free = visible(points, camera, stand.scene.rasterizer, stand.veil.positions, stand.veil.triangles)
        covered = drawn.owner[number] >= 0
        share[number, 0] = (free[0].view_as(covered) | ~covered).to(share)
    size = guided.denoised.shape[-2:]
    return replace(guided, weight=guided.weight * nn.functional.interpolate(share, size, mode="area"))


def true_camera(views: Views, number: int, reach: float) -> Cameras:
    """In the direction of one view, as far off as the artist's camera is, the whole subject in its picture."""
    distance = max(reach, 1e-3)
    angle = 2 * math.asin(min(_RADIUS / distance, 0.87))
    azimuth, elevation = views.azimuth[number : number + 1], views.elevation[number : number + 1]
    clip = perspective(torch.full_like(azimuth, angle), 1.0, NEAR, FAR)
    return Cameras(orbit_camera(azimuth, elevation, torch.full_like(azimuth, distance)), clip)
