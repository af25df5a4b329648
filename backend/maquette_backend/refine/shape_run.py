"""The shape of one subject, from its coarse mesh to the surface that is painted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from maquette_protocol.recipe import Recipe
from numpy.typing import NDArray

from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.priors.prior import Prior
from maquette_backend.refine import adam_state
from maquette_backend.refine.company import Company, distilling, voices_of
from maquette_backend.refine.controls import Controls, anchor_factor
from maquette_backend.refine.distil import Scene, StageSettings, Trained, step, trained
from maquette_backend.refine.distilling import restore_stage, stage_arrays
from maquette_backend.refine.events import JobEvents, Origin, PreviewFrame
from maquette_backend.refine.finish import Mesh, frozen, origin_of, vertex_colors, with_uvs
from maquette_backend.refine.keep_topology import OffsetBody, OffsetSettings
from maquette_backend.refine.moved import Moved
from maquette_backend.refine.placement import Placement
from maquette_backend.refine.plan import SubjectPlan, geometry_settings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.remesh import RemeshBody, RemeshSettings
from maquette_backend.refine.remesh_controls import ANCHOR, remesh_start, settled
from maquette_backend.refine.remeshed import delivered
from maquette_backend.refine.stage_loop import StageLoop, Task
from maquette_backend.refine.surface import Body
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.rasterizer import Rasterizer
from maquette_backend.shape.tied_offsets import added


@dataclass(frozen=True)
class ShapeRun:
    """Runs the geometry stage of one subject; all positions inside are in its unit space."""

    recipe: Recipe
    plan: SubjectPlan
    placement: Placement
    controls: Controls
    company: Company
    rasterizer: Rasterizer
    events: JobEvents
    loop: StageLoop
    keeps_uvs: bool = False
    """The sent UVs stay whatever they are like: there are maps on them."""

    @property
    def prior(self) -> Prior:
        return self.company.prior

    def moved(
        self, positions: NDArray[np.float32], triangles: NDArray[np.int32], corner_uvs: NDArray[np.float32] | None
    ) -> tuple[Moved, ColorField]:
        """The surface to paint, with UVs, and the colours found on the way. Raises Cancelled when that is wished for."""
        memory, name = self.loop.memory, f"{self.plan.subject.subject_id}/moved"
        color = ColorField().to(self.prior.settings.device)
        held = memory.held(name)
        if held is not None:
            self.loop.skip(self.plan.geometry_steps)
            adam_state.restore_parts({"color": color}, held)
            return Moved.from_arrays(held), color
        start = self.start(positions, triangles, corner_uvs)
        mesh, sent = (start, positions) if self.untouched else self._moved(start, positions, color)
        self.loop.reporter.begin("preparing", self.plan.subject.subject_id)
        result = Moved(self._with_uvs(mesh, start.corner_uvs if self.same_topology else None), sent)
        memory.hold(name, result.to_arrays() | adam_state.parts_to_arrays({"color": color}))
        return result, color

    def start(
        self, positions: NDArray[np.float32], triangles: NDArray[np.int32], corner_uvs: NDArray[np.float32] | None
    ) -> Mesh:
        """The sent mesh in unit space."""
        uvs = wound(self.placement, corner_uvs)
        return Mesh(self.placement.to_unit(positions), self.placement.wind(triangles), uvs)

    def origin(self, moved: Moved, start: Mesh, triangles: NDArray[np.int32]) -> Origin | None:
        """Where a new surface came from; ``triangles`` as they were sent."""
        return None if self.same_topology else origin_of(moved.mesh, start.positions, triangles)

    @property
    def same_topology(self) -> bool:
        return self.plan.subject.mode != "remesh" or self.untouched

    @property
    def untouched(self) -> bool:
        return self.plan.geometry_steps == 0

    def _with_uvs(self, mesh: Mesh, own: NDArray[np.float32] | None) -> Mesh:
        if own is not None and self.keeps_uvs:
            return Mesh(mesh.positions, mesh.triangles, own)
        return with_uvs(mesh, own, self.plan.subject.texture_size)

    def _moved(
        self, start: Mesh, positions: NDArray[np.float32], color: ColorField
    ) -> tuple[Mesh, NDArray[np.float32]]:
        """After the geometry stage: the mesh in unit space, without UVs, and its positions in object space."""
        self.loop.reporter.begin("preparing", self.plan.subject.subject_id)
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
        found = delivered(body, start, subject.triangle_budget, self.controls.sharp_edges)
        return settled(found, begun.floor, self.placement)

    def _refined(self, body: Body, color: ColorField) -> None:
        """The geometry stage, in place."""
        settings = geometry_settings(self.recipe, self.prior.settings)
        with distilling(self.recipe, self.company, "geometry", self.plan.subject.prompt) as distiller:
            self._run(trained(body, color, settings), settings, distiller)

    def _run(self, state: Trained, settings: StageSettings, distiller: Distiller) -> None:
        subject, steps = self.plan.subject, self.plan.geometry_steps
        scene = Scene(
            self.prior,
            self.rasterizer,
            view_sampler(self.recipe.rig, self.placement),
            subject.prompt,
            subject.negative_prompt,
            self.recipe.guidance.view_dependent_prompts,
            distiller,
            voices_of(self.recipe, distiller, geometry_settings),
        )

        def one(number: int) -> float:
            if isinstance(state.body, RemeshBody):
                state.body.at(number / steps)
            generator = generator_for(self.plan.seed, subject.subject_id, "geometry", number)
            return step(state, scene, settings, number / steps, generator)

        self.loop.run(
            Task(
                "geometry",
                f"geometry:{subject.subject_id}",
                subject.subject_id,
                steps,
                one,
                lambda: stage_arrays(state, distiller),
                lambda arrays: restore_stage(state, distiller, arrays),
                lambda number: self._show(number, state),
            )
        )

    def _show(self, number: int, state: Trained) -> None:
        mesh = frozen(state.body.surface())
        self.events.preview(
            PreviewFrame(
                self.plan.subject.subject_id,
                "geometry",
                number,
                number + 1 if self.plan.subject.mode == "remesh" else 0,
                self.placement.to_object(mesh.positions),
                self.placement.wind(mesh.triangles),
                colors=vertex_colors(mesh.positions, state.color),
            )
        )


def wound(placement: Placement, corner_uvs: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """UVs follow their corners when the winding turns; its own inverse."""
    if corner_uvs is None or not placement.mirrored:
        return corner_uvs
    return np.ascontiguousarray(corner_uvs[:, ::-1])
