"""The comparison of ways of distilling: its subject, its measures, its table, and that it leaves the prior alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from maquette_backend.ablate.command import Row, build_bench, main, table, trial_row, two_boxes, ways
from maquette_backend.ablate.score import Score
from maquette_backend.ablate.trial import Probe
from maquette_backend.guidance.catalogue import method_names
from PIL import Image


def test_the_subject_is_two_closed_boxes_facing_outwards() -> None:
    positions, triangles = two_boxes()
    corners = positions[triangles]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert volume == pytest.approx(1.0 * 0.9 * 0.4 + 1.0 * 0.25 * 0.5, rel=1e-4)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    np.testing.assert_allclose(normals.sum(0), 0, atol=1e-5)


def test_every_method_is_compared_and_both_teachers() -> None:
    assert tuple(ways()) == (*method_names(), "sds+cg-lora+ama", "sds+cg-lora+denoising")


def test_one_way_is_run_measured_and_pictured_and_the_prior_is_left_as_it_was(tmp_path: Path) -> None:
    bench = replace(build_bench(steps=2, seed=0), probe=Probe((0.6,), 1))
    start = trial_row(bench, "start", None)
    adapted = trial_row(bench, "sds+cg-lora+ama", tmp_path)
    assert (start.steps, start.drift) == (0, 0)
    assert (adapted.steps, adapted.secs > 0) == (2, True)
    assert 0 < adapted.drift < 0.1
    assert adapted.score != start.score
    assert trial_row(bench, "start", None).score == start.score
    picture = np.asarray(Image.open(tmp_path / "sds+cg-lora+ama.png"))
    assert picture.shape == (384, 768, 3)
    assert picture[:192].std() > 5
    assert torch.is_grad_enabled()


def test_the_table_has_a_line_a_way() -> None:
    lines = table([Row("sds", 40, 3.21, 0.0123, Score(0.51234, 0.25, -0.5))]).splitlines()
    assert lines[2] == "| sds | 40 | 3.2 | 0.5123 | +25.0 % | -0.500 | 1.23 |"


@pytest.mark.parametrize("arguments", [["--only", "dreams"], ["--steps", "0"]])
def test_nonsense_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
