"""The appearance of one subject: its own steps, and the images they come to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from maquette_protocol.recipe import Recipe
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.prior import Prior
from maquette_backend.refine import adam_state
from maquette_backend.refine.canvas import Canvas
from maquette_backend.refine.company import Company, distilling, voices_of
from maquette_backend.refine.distil import Scene
from maquette_backend.refine.distilling import restore_stage, stage_arrays
from maquette_backend.refine.events import JobEvents, PreviewFrame
from maquette_backend.refine.finish import vertex_colors
from maquette_backend.refine.images import Maps, color_image
from maquette_backend.refine.light import Light, LightSource
from maquette_backend.refine.painting import Painter, Prepare, Stand, Veil, paint_step, painter, true_camera
from maquette_backend.refine.plan import appearance_settings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.skin import ColorSkin, Skin, start_of
from maquette_backend.refine.stage_loop import StageLoop, Task
from maquette_backend.refine.stage_settings import StageSettings
from maquette_backend.refine.unseen import Sight, seen_texels
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.edges import build_topology
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.render.scene_render import Paint, lay_out
from maquette_backend.shape.places import first_at_each_place

FINER = 4
"""Given pictures are looked up at most this many times finer than what is shown to the prior."""
SIGHTS = 48
"""Views, of all that were drawn, by which it is judged what has been seen."""
APPEARANCE_TOPOLOGY = 1 << 16
"""Added to a preview's topology while a surface is painted that does not change any more."""


@dataclass(frozen=True)
class Studio:
    """What every subject of a job is painted with."""

    recipe: Recipe
    company: Company
    rasterizer: Rasterizer
    loop: StageLoop
    events: JobEvents
    light: LightSource

    @property
    def prior(self) -> Prior:
        return self.company.prior


@dataclass(frozen=True)
class AppearanceRun(ABC):
    """The appearance of one subject."""

    studio: Studio
    canvas: Canvas
    veil: Veil | None

    @abstractmethod
    def paint(self) -> None:
        """Every step that is left. Raises Cancelled."""

    @property
    @abstractmethod
    def skin(self) -> Skin:
        """What is learned, in its present form."""

    @abstractmethod
    def paint_in(self, light: Light, picture_from_unit: NDArray[np.float64]) -> Paint:
        """How the subject is shown in a picture whose space is turned and moved from unit space by a matrix [4,4]."""

    @abstractmethod
    def images(self, seen: NDArray[np.bool_]) -> Maps:
        """What the artist gets; ``seen`` [P] as ``seen()`` has it."""

    @abstractmethod
    def vertex_colors(self) -> NDArray[np.uint8]:
        """[V,3] sRGB, for previews."""

    def rate(self, settings: StageSettings) -> float:
        """Adam's, of what the skin in its present form learns."""
        return settings.color_rate

    def settle(self) -> None:
        """After a step of all together: bring what it learned back into its bounds."""
        return None

    def seen(self) -> NDArray[np.bool_]:
        """[P]: the texels that the views of its steps saw, past everything that stands in the artist's cameras' way."""
        texels = self.canvas.texels
        steps = self.canvas.plan.appearance_steps
        if not steps:
            return np.ones(len(texels.points), bool)
        faces = torch.from_numpy(first_at_each_place(self.canvas.moved.mesh.positions)[self.canvas.moved.mesh.triangles])
        closed = bool((build_topology(faces).sides[:, 1] != 0).all())
        return seen_texels(texels, self._sights(steps), self.studio.rasterizer, closed)

    def _sights(self, steps: int) -> list[Sight]:
        """Some of the views that were drawn, evenly over the steps."""
        views_per_step = self.studio.recipe.stages.views_per_step
        count = max(1, min(steps, SIGHTS // views_per_step))
        sampler = view_sampler(self.studio.recipe.rig, self.canvas.placement)
        own = self.canvas.standing()
        around = (own.positions, own.triangles)
        if self.veil is not None:
            past = torch.cat([own.triangles, self.veil.triangles + len(own.positions)])
            around = (torch.cat([own.positions, self.veil.positions]), past)
        sights = []
        for number in np.linspace(0, steps - 1, count).round().astype(int).tolist():
            views, reach = sampler.sample_with_reach(views_per_step, self.generator(number))
            views = views.to(own.positions.device)
            distances = views.distance.tolist()
            for view, far in enumerate(reach.tolist()):
                stood = around if far else (own.positions, own.triangles)
                sights.append(Sight(true_camera(views, view, far or distances[view]), *stood))
        return sights

    def distilling(self) -> AbstractContextManager[Distiller]:
        """The recipe's way of distilling, for its own steps."""
        studio = self.studio
        return distilling(studio.recipe, studio.company, "appearance", self.canvas.plan.subject.prompt)

    def stand(
        self,
        paint: Paint,
        distiller: Distiller | None = None,
        prepare: Prepare | None = None,
        penalty: Callable[[], Tensor] | None = None,
    ) -> Stand:
        """What its own steps look at. ``distiller`` None: plain SDS, or none is asked."""
        recipe, subject = self.studio.recipe, self.canvas.plan.subject
        scene = Scene(
            self.studio.prior,
            self.studio.rasterizer,
            view_sampler(recipe.rig, self.canvas.placement),
            subject.prompt,
            subject.negative_prompt,
            recipe.guidance.view_dependent_prompts,
            distiller or Sds(),
            voices_of(recipe, distiller, partial(appearance_settings, material=subject.material)),
            self.studio.company.controls,
        )
        return Stand(scene, lay_out([self.canvas.standing()]), (paint,), self.veil, prepare, penalty)

    def generator(self, number: int) -> torch.Generator:
        """Of the appearance step of this number."""
        return generator_for(self.canvas.plan.seed, self.canvas.subject_id, "appearance", number)

    def task(
        self, name: str, steps: int, step: Callable[[int], float], state: Painter, distiller: Distiller
    ) -> Task:
        """A stage called ``name``, of this subject."""
        return Task(
            "appearance",
            f"{name}:{self.canvas.subject_id}",
            self.canvas.subject_id,
            steps,
            step,
            lambda: stage_arrays(state, distiller),
            lambda arrays: restore_stage(state, distiller, arrays),
            self.show,
        )

    def show(self, number: int) -> None:
        """A preview of the subject as it is now."""
        canvas = self.canvas
        self.studio.events.preview(
            PreviewFrame(
                canvas.subject_id,
                "appearance",
                number,
                APPEARANCE_TOPOLOGY,
                canvas.moved.positions,
                canvas.placement.wind(canvas.moved.mesh.triangles),
                colors=self.vertex_colors(),
            )
        )


@dataclass(frozen=True)
class ColorRun(AppearanceRun):
    """Base colour alone."""

    color: ColorSkin

    @property
    def skin(self) -> ColorSkin:
        return self.color

    def paint(self) -> None:
        studio, canvas = self.studio, self.canvas
        held = studio.loop.memory.held(f"{canvas.subject_id}/painted")
        if held is not None:
            adam_state.restore_parts({"skin": self.color}, held)
            studio.loop.skip(canvas.plan.appearance_steps)
            return
        settings = appearance_settings(studio.recipe, studio.prior.settings)
        state = painter({canvas.subject_id: self.color}, settings)
        steps = canvas.plan.appearance_steps
        with self.distilling() as distiller:
            stand = self.stand(self.color.shown, distiller)

            def step(number: int) -> float:
                return paint_step(state, stand, settings, number / steps, self.generator(number))

            studio.loop.run(self.task("appearance", steps, step, state, distiller))
        studio.loop.memory.hold(f"{canvas.subject_id}/painted", adam_state.parts_to_arrays({"skin": self.color}))

    def paint_in(self, light: Light, picture_from_unit: NDArray[np.float64]) -> Paint:
        return self.color.shown

    def images(self, seen: NDArray[np.bool_]) -> Maps:
        return Maps(color_image(self.canvas, self.color.field, seen))

    def vertex_colors(self) -> NDArray[np.uint8]:
        return vertex_colors(self.canvas.moved.mesh.positions, self.color.field)


def color_run(studio: Studio, canvas: Canvas, field: ColorField, veil: Veil | None) -> ColorRun:
    """From given maps where there are any, else from the overall colour that ``field`` has."""
    field.forget_detail()  # what was painted while the shape still moved is in the wrong places now
    start = None
    if canvas.given.base_color is not None:
        largest = FINER * appearance_settings(studio.recipe, studio.prior.settings).size
        start = start_of(canvas.given, canvas.share, canvas.texels, largest, canvas.device)
    return ColorRun(studio, canvas, veil, ColorSkin(field, start).to(canvas.device))
