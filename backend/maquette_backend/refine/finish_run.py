"""The finish of one subject's base colour: which texels it changes, and the image that comes of it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from maquette_backend.refine import adam_state
from maquette_backend.refine.appearance_run import FINER, AppearanceRun
from maquette_backend.refine.canvas import Canvas
from maquette_backend.refine.images import finished
from maquette_backend.refine.material_images import whole_change
from maquette_backend.refine.painting import Painter
from maquette_backend.refine.plan import appearance_settings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.stage_loop import Task
from maquette_backend.refine.uv_finish import Finish, finish_step
from maquette_backend.render.scene_render import SurfacePoints
from maquette_backend.render.shading import HeadLight
from maquette_backend.render.texturing import level_of_detail, sample_texture


class FinishSkin(nn.Module):
    """A finished base colour and its change, under the head light."""

    def __init__(self, picture: Tensor) -> None:
        """``picture`` [1,h,w,3] sRGB 0..1."""
        super().__init__()
        self.picture = picture
        self.change = nn.Parameter(torch.zeros_like(picture))

    def shown(self, seen: SurfacePoints) -> Tensor:
        """Colours as they are shown [P,3]."""
        level = level_of_detail(seen.uv_da, (self.picture.shape[1], self.picture.shape[2]))
        texels = (self.picture + self.change).clamp(0, 1)
        color = sample_texture(texels, seen.uv[None], level[None])[0]
        return color * HeadLight().shade(seen.normal_camera, seen.normal[:, 2])[:, None]

    def overall(self) -> list[nn.Parameter]:
        return []

    def detail(self) -> list[nn.Parameter]:
        return [self.change]


def finish_base_color(run: AppearanceRun, base_color: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """``base_color`` [S,S,3] after the recipe's finish steps; kept texels keep their bits. Raises Cancelled."""
    studio, canvas = run.studio, run.canvas
    steps, finish = studio.recipe.stages.finish_steps, Finish()
    if not steps:
        return base_color
    settings = appearance_settings(studio.recipe, studio.prior.settings)
    skin = FinishSkin(_thinned(base_color, FINER * settings.size).to(canvas.device))
    optimiser = torch.optim.Adam([skin.change], lr=finish.rate, betas=(0.9, 0.99))
    state, stand = Painter({canvas.subject_id: skin}, optimiser), run.stand(skin.shown)

    def step(number: int) -> float:
        generator = generator_for(canvas.plan.seed, canvas.subject_id, "finish", number)
        return finish_step(skin.change, optimiser, stand, settings, finish, number / steps, generator)

    studio.loop.run(
        Task(
            "baking",
            f"finish:{canvas.subject_id}",
            canvas.subject_id,
            steps,
            step,
            lambda: adam_state.to_arrays(state),
            lambda arrays: adam_state.restore(state, arrays),
            run.show,
        )
    )
    return changed_by(canvas, base_color, skin.change.detach().cpu())


def changed_by(canvas: Canvas, base_color: NDArray[np.uint8], change: Tensor) -> NDArray[np.uint8]:
    """``base_color`` with a change [1,h,w,3] of sRGB 0..1 added that was learned at a smaller size."""
    covered, given = canvas.texels.covered, canvas.given.base_color
    whole = whole_change(canvas, change, canvas.mobile())
    step = np.round(255 * whole[0].permute(1, 2, 0).numpy()[covered] * canvas.share[:, None]).astype(np.int16)
    values = np.clip(base_color[covered].astype(np.int16) + step, 0, 255)
    if given is not None:
        reach = int(255 * (1 - canvas.given.keep_look))
        start = given[covered].astype(np.int16)
        values = np.clip(values, start - reach, start + reach)
    return finished(canvas, values.astype(np.uint8), given, np.ones(len(values), bool))


def _thinned(image: NDArray[np.uint8], largest: int) -> Tensor:
    """[1,h,w,3] 0..1, halved until it has at most ``largest`` px a side."""
    picture = torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1)[None]
    while min(picture.shape[2:]) > largest and not picture.shape[2] % 2:
        picture = nn.functional.avg_pool2d(picture, 2)
    return picture.permute(0, 2, 3, 1).contiguous()
