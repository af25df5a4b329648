"""The comparison of whole jobs: every method is in it, and one job is run, scored and pictured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from maquette_backend.ablate.command import job_table
from maquette_backend.ablate.jobs import JobBench, JobRow, job_row, job_ways, read_mesh
from maquette_backend.ablate.score import Score
from maquette_backend.ablate.sheet import sheet
from maquette_backend.priors.load import load_prior
from maquette_protocol.checks import check_recipe
from maquette_protocol.recipe import Method, Recipe

from tests.protocol.protocol_samples import RECIPE

ARMCHAIR = Path(__file__).parents[3] / "examples" / "room" / "armchair.obj"


def test_every_method_is_compared_by_recipes_that_are_accepted() -> None:
    asked = job_ways()
    assert {guidance.method for guidance in asked.values()} == set(get_args(Method))
    for guidance in asked.values():
        recipe: Recipe = replace(RECIPE, guidance=guidance)
        check_recipe(recipe, ("starter",))


def test_the_demos_armchair_is_read_with_its_front_towards_the_viewer() -> None:
    positions, triangles = read_mesh(ARMCHAIR)
    assert (positions.dtype, triangles.dtype, triangles.shape) == (np.float32, np.int32, (96, 3))
    assert positions[:, 2].min() == 0
    high = positions[positions[:, 2] > 0.8]
    assert high[:, 1].min() > 0, "the back rest is behind the seat"


def test_what_is_no_mesh_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.obj").write_text("v 0 0 0\n")
    with pytest.raises(ValueError, match="holds no mesh"):
        read_mesh(tmp_path / "empty.obj")


def test_a_job_is_run_scored_and_pictured() -> None:
    bench = JobBench(load_prior("starter", "cpu"), *read_mesh(ARMCHAIR), "a red armchair", (1, 1), grid=16)
    start, done = job_row(bench, "start"), job_row(bench, "sds+cg-lora+ama")
    assert (start.steps, done.steps) == (0, 2)
    assert done.score != start.score
    assert start.pictures.shape == (8, 7, 64, 64)
    overlap = ((start.pictures[:, 6] > 0) == (done.pictures[:, 6] > 0)).float().mean()
    assert overlap > 0.95, "it stands where it stood"
    drawn = sheet({"start": start.pictures, "done": done.pictures})
    assert drawn.size == (120 + 8 * 128, 2 * 128)


def test_the_table_has_a_line_a_way() -> None:
    lines = job_table([JobRow("sds", 80, 31.4, Score(0.51234, 0.25, -0.5), torch.zeros(8, 7, 64, 64))]).splitlines()
    assert lines[2] == "| sds | 80 | 31 | 0.5123 | +25.0 % | -0.500 |"
