"""One subject from its coarse mesh to its refined, textured one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from maquette_protocol.messages import Stage
from maquette_protocol.recipe import Recipe
from numpy.typing import NDArray

from maquette_backend.appearance.fields import ColorField
from maquette_backend.priors.prior import Prior
from maquette_backend.refine import adam_state
from maquette_backend.refine.controls import Controls, anchor_factor
from maquette_backend.refine.distil import Scene, StageSettings, Trained, step, trained
from maquette_backend.refine.events import JobEvents, PreviewFrame, RefinedSubject
from maquette_backend.refine.finish import Mesh, baked, frozen, origin_of, vertex_colors, with_uvs
from maquette_backend.refine.keep_topology import FixedBody, OffsetBody, OffsetSettings
from maquette_backend.refine.memory import JobMemory
from maquette_backend.refine.moved import Moved
from maquette_backend.refine.placement import Placement
from maquette_backend.refine.plan import (
    BAKING_STEPS,
    SubjectPlan,
    appearance_settings,
    geometry_settings,
)
from maquette_backend.refine.progress import ProgressReporter
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remesh_controls import ANCHOR, remesh_start, settled
from maquette_backend.refine.remeshed import delivered
from maquette_backend.refine.surface import Body
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.shape.tied_offsets import added


class Cancelled(Exception):
    """The job was asked to end; its checkpoint stays."""


@dataclass
class SubjectRun:
    """Runs the stages of one subject; all positions inside are in its unit space."""

    recipe: Recipe
    plan: SubjectPlan
    placement: Placement
    controls: Controls
    prior: Prior
    rasterizer: Rasterizer
    events: JobEvents
    reporter: ProgressReporter
    memory: JobMemory
    keeping: bool = False
    """Set once the artist asked to stop and keep: the stages that remain are skipped."""
    _topology: int = 0

    def refine(
        self,
        positions: NDArray[np.float32],
        triangles: NDArray[np.int32],
        corner_uvs: NDArray[np.float32] | None,
    ) -> RefinedSubject:
        """The refined subject, object space. Raises Cancelled when that is wished for."""
        start = Mesh(self.placement.to_unit(positions), self.placement.wind(triangles), self._wound(corner_uvs))
        color = ColorField().to(self.prior.settings.device)
        moved = self._appearance(self._geometry(start, positions, color), color)
        mesh = moved.mesh
        texture = self._bake(mesh, color)
        assert mesh.corner_uvs is not None
        return RefinedSubject(
            self.plan.subject.subject_id,
            same_topology=self._same_topology,
            positions=moved.positions,
            triangles=self.placement.wind(mesh.triangles),
            corner_uvs=self._wound(mesh.corner_uvs),
            base_color=texture,
            origin=None if self._same_topology else origin_of(mesh, start.positions, triangles),
        )

    @property
    def _same_topology(self) -> bool:
        return self.plan.subject.mode != "remesh" or self._untouched

    @property
    def _untouched(self) -> bool:
        return self.plan.geometry_steps == 0

    def _geometry(self, start: Mesh, positions: NDArray[np.float32], color: ColorField) -> Moved:
        """The moved surface; from the checkpoint where the stage is already behind us. ``positions``: as they were sent."""
        stored = self.memory.stage(self._name("appearance"))
        if stored is not None:
            self.reporter.done += self.plan.geometry_steps
            return Moved.from_arrays(stored[1])
        mesh, sent = (start, positions) if self._untouched else self._moved(start, positions, color)
        self.reporter.begin("preparing", self.plan.subject.subject_id)
        own = start.corner_uvs if self._same_topology else None
        return Moved(with_uvs(mesh, own, self.plan.subject.texture_size), sent)

    def _moved(
        self, start: Mesh, positions: NDArray[np.float32], color: ColorField
    ) -> tuple[Mesh, NDArray[np.float32]]:
        """After the geometry stage: the mesh in unit space, without UVs, and its positions in object space."""
        self.reporter.begin("preparing", self.plan.subject.subject_id)
        if self.plan.subject.mode == "remesh":
            return self._remeshed(start, positions, color)
        settings = OffsetSettings(bound=self.plan.bound).held(self.plan.subject.stay_close)
        linear = self.placement.unit_from_object[:3, :3]
        body = OffsetBody(
            start.positions, start.triangles, settings, self.prior.settings.device, self.controls, linear
        )
        self._refined(body, color)
        return frozen(body.surface()), added(positions, body.object_offsets())

    def _remeshed(
        self, start: Mesh, positions: NDArray[np.float32], color: ColorField
    ) -> tuple[Mesh, NDArray[np.float32]]:
        subject, bound = self.plan.subject, self.plan.bound
        settings = RemeshSettings(
            grid_class=self.recipe.stages.grid_resolution, bound=bound, anchor=ANCHOR * anchor_factor(subject.stay_close)
        )
        begun = remesh_start(start, positions, self.controls, subject.locks, self.placement, settings)
        mesh = begun.mesh
        body = RemeshBody(mesh.positions, mesh.triangles, settings, self.prior.settings.device, begun.controls)
        self._refined(body, color)
        found = delivered(body, start, subject.triangle_budget)
        return settled(found, begun.floor, self.placement, body.grid.grid.spacing)

    def _refined(self, body: Body, color: ColorField) -> None:
        """The geometry stage, in place."""
        settings = geometry_settings(self.recipe, self.prior.settings)
        self._run("geometry", trained(body, color, settings), settings, self.plan.geometry_steps, {})

    def _appearance(self, moved: Moved, color: ColorField) -> Moved:
        settings = appearance_settings(self.recipe, self.prior.settings)
        color.forget_detail()  # what was painted while the shape still moved is in the wrong places now
        mesh = moved.mesh
        state = trained(FixedBody(mesh.positions, mesh.triangles, self.prior.settings.device), color, settings)
        self._run("appearance", state, settings, self.plan.appearance_steps, moved.to_arrays())
        return moved

    def _bake(self, mesh: Mesh, color: ColorField) -> NDArray[np.uint8]:
        self.reporter.begin("baking", self.plan.subject.subject_id)
        texture = baked(mesh, color, self.plan.subject.texture_size)
        self.reporter.advance("baking", self.plan.subject.subject_id, 0.0, BAKING_STEPS)
        return texture

    def _run(
        self,
        stage: Stage,
        state: Trained,
        settings: StageSettings,
        steps: int,
        also: dict[str, NDArray[np.generic]],
    ) -> None:
        """``steps`` steps of one stage, from its checkpoint on if it has one."""
        subject = self.plan.subject
        first = self._resume(stage, state)
        scene = Scene(
            self.prior,
            self.rasterizer,
            view_sampler(self.recipe.rig, self.placement),
            subject.prompt,
            subject.negative_prompt,
            self.recipe.guidance.view_dependent_prompts,
        )
        self.reporter.begin(stage, subject.subject_id)
        for number in range(first, steps):
            if self._should_stop(stage, number, state, also):
                self.reporter.done += steps - number
                return
            if isinstance(state.body, RemeshBody):
                state.body.at(number / steps)
            generator = generator_for(self.recipe.seed, subject.subject_id, stage, number)
            loss = step(state, scene, settings, number / steps, generator)
            self.reporter.advance(stage, subject.subject_id, loss)
            self._show(stage, number, state)

    def _resume(self, stage: Stage, state: Trained) -> int:
        stored = self.memory.stage(self._name(stage))
        if stored is None:
            return 0
        adam_state.restore(state, stored[1])
        self.reporter.done += stored[0]
        return stored[0]

    def _should_stop(
        self, stage: Stage, number: int, state: Trained, also: dict[str, NDArray[np.generic]]
    ) -> bool:
        wish = self.events.wish()
        if wish == "cancel" or self.memory.due():
            self.memory.keep_stage(self._name(stage), number, adam_state.to_arrays(state) | also)
        if wish == "cancel":
            raise Cancelled
        self.keeping = self.keeping or wish == "stop_and_keep"
        return self.keeping

    def _show(self, stage: Stage, number: int, state: Trained) -> None:
        every = self.recipe.stages.preview_every
        if not every or number % every or not self.events.preview_wanted():
            return
        mesh = frozen(state.body.surface())
        self._topology += self.plan.subject.mode == "remesh" and stage == "geometry"
        self.events.preview(
            PreviewFrame(
                self.plan.subject.subject_id,
                stage,
                number,
                self._topology + (1 << 16 if stage == "appearance" else 0),
                self.placement.to_object(mesh.positions),
                self.placement.wind(mesh.triangles),
                colors=vertex_colors(mesh.positions, state.color),
            )
        )

    def _wound(self, corner_uvs: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        """UVs follow their corners when the winding turns."""
        if corner_uvs is None or not self.placement.mirrored:
            return corner_uvs
        return np.ascontiguousarray(corner_uvs[:, ::-1])

    def _name(self, stage: Stage) -> str:
        return f"{stage}:{self.plan.subject.subject_id}"
