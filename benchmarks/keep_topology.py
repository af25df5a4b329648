"""Keep Topology: what a step on a dense mesh costs besides the prior."""

from __future__ import annotations

import os
import statistics
from dataclasses import replace
from time import perf_counter

import torch
from maquette_backend.appearance.fields import ColorField
from maquette_backend.priors.cores import share_cores
from maquette_backend.refine.distil import Scene, step, trained
from maquette_backend.refine.keep_topology import OffsetBody, OffsetSettings
from maquette_backend.refine.placement import place
from maquette_backend.refine.plan import geometry_settings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.viewpoints import view_sampler
from maquette_backend.render.choose import choose_rasterizer
from maquette_protocol.recipe import IDENTITY, CameraRig, Recipe, Stages

from benchmarks.rows import Row
from tests.backend.guidance.gaussian_prior import GaussianPrior, plain_settings
from tests.backend.render.surfaces import bumpy_torus

_VIEWS = 4
_SIDE_PX = 128
_AROUND, _ACROSS = 250, 100
_STEPS = 25
_WARM_UP = 4
_TARGET_MS = 250


def rows() -> list[Row]:
    """The rows of this part."""
    share_cores()  # as a worker does
    return [_step_without_a_prior()]


def _step_without_a_prior() -> Row:
    positions, triangles = bumpy_torus(_AROUND, _ACROSS)
    placed = place("Torus", positions.numpy(), IDENTITY)
    start = perf_counter()
    body = OffsetBody(placed.to_unit(positions.numpy()), triangles.int().numpy(), OffsetSettings())
    prepared_secs = perf_counter() - start
    prior = _closed_form()
    settings = geometry_settings(Recipe((), stages=Stages(views_per_step=_VIEWS, render_size=_SIDE_PX)), prior.settings)
    scene = Scene(prior, choose_rasterizer("cpu"), view_sampler(CameraRig(), placed), "a ring", "", view_dependent=True)
    state = trained(body, ColorField(), settings)
    took = []
    for number in range(_WARM_UP + _STEPS):
        start = perf_counter()
        step(state, scene, settings, number / (_WARM_UP + _STEPS), generator_for(0, "bench", number))
        took.append(1000 * (perf_counter() - start))
    value = statistics.median(took[_WARM_UP:])
    how = (
        f"median of {_STEPS} geometry steps on {len(triangles):,} triangles under a closed-form prior that costs next to"
        f" nothing; {_VIEWS} views of {settings.size}², colour, normals and coverage; prepared once in {prepared_secs:.1f} s;"
        f" CPU, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    return Row("keep_topology.step_ms", value, "ms", f"<= {_TARGET_MS}", value <= _TARGET_MS, how)


def _closed_form() -> GaussianPrior:
    """A prior of one picture, so that a step's time is everything but a network's."""
    settings = replace(plain_settings(modalities=("joint", "surface")), sizes=(_SIDE_PX,))
    blank = torch.zeros(1, 7, _SIDE_PX, _SIDE_PX)
    return GaussianPrior(lambda text, views, modality: blank, spread=0.3, settings=settings)
