"""What a job remembers, counts and draws: checkpoints, progress, seeds, plans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from job_in_memory import Events, Shelf, Store, equal, starter
from maquette_backend.refine.events import RefinedSubject
from maquette_backend.refine.memory import EVERY_SECS, JobMemory
from maquette_backend.refine.plan import (
    BAKING_STEPS,
    appearance_settings,
    geometry_settings,
    nearest_size,
    plan_subject,
    scene_settings,
)
from maquette_backend.refine.progress import ProgressReporter
from maquette_backend.refine.randomness import generator_for
from maquette_protocol.recipe import Guidance, Mode, Recipe, Stages
from refine_shapes import box, box_uvs


class Clock:
    """Told, not read."""

    def __init__(self) -> None:
        self.secs = 0.0

    def __call__(self) -> float:
        return self.secs


def result(subject_id: str, bare: bool = False) -> RefinedSubject:
    positions, triangles = box()
    if bare:
        return RefinedSubject(subject_id, True, positions, triangles, None, None)
    texture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    return RefinedSubject(subject_id, False, positions, triangles, box_uvs(triangles), texture)


def test_results_and_the_running_stage_survive() -> None:
    store = Store()
    memory = JobMemory(store)
    first = result("a")
    memory.keep_stage("geometry:a", 3, {"field": np.ones(2, np.float32)})
    memory.finish(first)
    memory.keep_stage("appearance:b", 7, {"grid/0": np.arange(3.0), "mesh/positions": np.zeros((2, 3))})
    again = JobMemory(store)
    kept = again.finished("a")
    assert kept is not None
    assert equal(kept, first)
    assert again.finished("b") is None
    stage = again.stage("appearance:b")
    assert stage is not None
    assert stage[0] == 7
    np.testing.assert_array_equal(stage[1]["grid/0"], np.arange(3.0))
    assert set(stage[1]) >= {"grid/0", "mesh/positions"}


def test_a_stage_is_forgotten_when_its_subject_is_done_or_another_stage_runs() -> None:
    store = Store()
    memory = JobMemory(store)
    memory.keep_stage("geometry:a", 3, {"old": np.ones(2)})
    memory.keep_stage("appearance:a", 1, {"new": np.ones(2)})
    assert memory.stage("geometry:a") is None
    assert store.kept is not None
    assert not any("old" in name for name in store.kept[0])
    memory.finish(result("a", bare=True))
    assert JobMemory(store).stage("appearance:a") is None
    assert not any(name.startswith("stage/") for name in [*store.kept[0], *store.kept[1]])
    bare = JobMemory(store).finished("a")
    assert bare is not None
    assert bare.corner_uvs is None
    assert bare.base_color is None
    assert bare.same_topology


@pytest.mark.parametrize("mark", [None, "1", "999"])
def test_of_another_versions_checkpoint_only_results_are_kept(mark: str | None, caplog: pytest.LogCaptureFixture) -> None:
    """Before formats were marked, maps held their albedo as light: gone on with, it would come out as another colour."""
    store = Store()
    memory = JobMemory(store)
    memory.finish(result("a"))
    memory.hold("b/volume", {"skin/base": np.ones(2, np.float32)})
    memory.keep_stage("maps:b", 7, {"skin/texels": np.ones(3, np.float32)})
    assert store.kept is not None
    del store.kept[1]["format"]
    if mark is not None:
        store.kept[1]["format"] = mark
    again = JobMemory(store)
    assert again.stage("maps:b") is None
    assert again.held("b/volume") is None
    kept = again.finished("a")
    assert kept is not None
    assert equal(kept, result("a"))
    assert "begins again" in caplog.text
    again.keep_stage("maps:b", 1, {"skin/texels": np.zeros(3, np.float32)})
    assert JobMemory(store).stage("maps:b") is not None, "what was written anew is gone on with"


def test_checkpoints_are_due_every_so_often_and_after_each_save() -> None:
    clock = Clock()
    memory = JobMemory(Store(), clock)
    clock.secs = EVERY_SECS - 0.1
    assert not memory.due()
    clock.secs = EVERY_SECS
    assert memory.due()
    memory.keep_stage("geometry:a", 1, {})
    assert not memory.due()
    clock.secs = 2 * EVERY_SECS
    assert memory.due()


def test_even_steps_give_an_exact_eta() -> None:
    """Preparing before a stage does not count as a step."""
    clock, events = Clock(), Events()
    reporter = ProgressReporter(events, steps=10, now=clock)
    reporter.begin("preparing", "a")
    clock.secs += 100
    reporter.begin("geometry", "a")
    for done in range(1, 5):
        clock.secs += 2
        reporter.advance("geometry", "a", loss=0.5)
        assert events.reports[-1].step == done
        assert events.reports[-1].eta_secs == pytest.approx(2 * (10 - done))
    clock.secs += 12
    reporter.advance("baking", "a", 0.0, count=6)
    assert (events.reports[-1].step, events.reports[-1].eta_secs) == (10, 0)


def test_generators_depend_on_every_part_of_their_purpose() -> None:
    purposes = [(seed, subject, stage, step) for seed in (0, 1) for subject in "ab" for stage in "ga" for step in (0, 1)]
    first = [torch.rand(1, generator=generator_for(*purpose)).item() for purpose in purposes]
    assert len(set(first)) == len(purposes)
    assert first == [torch.rand(1, generator=generator_for(*purpose)).item() for purpose in purposes]


def test_generators_of_neighbouring_steps_are_independent() -> None:
    drawn = torch.stack([torch.randn(500, generator=generator_for(0, "a", step)) for step in range(40)])
    correlation = torch.corrcoef(drawn) - torch.eye(40)
    assert float(correlation.abs().max()) < 5 / 500**0.5
    assert abs(float(drawn.mean())) < 4 / drawn.numel() ** 0.5


PLANS: list[tuple[Mode, float, int]] = [
    ("remesh", 1.0, 5),
    ("keep_topology", 0.5, 5),
    ("texture_only", 1.0, 0),
    ("remesh", 0.0, 0),
]


@pytest.mark.parametrize(("mode", "strength", "geometry_steps"), PLANS)
def test_plans(mode: Mode, strength: float, geometry_steps: int) -> None:
    subject = Shelf().subject(*box(), mode=mode, strength=strength)
    plan = plan_subject(Recipe((subject,), stages=Stages(5, 7)), subject)
    assert plan.geometry_steps == geometry_steps
    assert plan.steps == geometry_steps + 7 + BAKING_STEPS
    assert plan.bound == pytest.approx(0.1 * strength)


def test_the_recipes_scales_go_before_the_priors() -> None:
    recipe, advice = Recipe((), guidance=Guidance(geometry_scale=0.0)), starter("starter").settings
    assert geometry_settings(recipe, advice).distillation.scale == 0.0
    assert appearance_settings(recipe, advice).distillation.scale == advice.appearance_scale
    assert appearance_settings(recipe, advice).normal_share == 0.0


def test_full_materials_are_guided_as_the_prior_advises_for_them() -> None:
    advice = replace(starter("starter").settings, appearance_scale=4.0, material_scale=1.25)
    unsaid, asked = Recipe(()), Recipe((), guidance=Guidance(appearance_scale=2.0))
    assert appearance_settings(unsaid, advice).distillation.scale == 4.0
    assert appearance_settings(unsaid, advice, "pbr").distillation.scale == 1.25
    assert appearance_settings(unsaid, replace(advice, material_scale=None), "pbr").distillation.scale == 4.0
    assert appearance_settings(asked, advice, "pbr").distillation.scale == 2.0
    plain = Shelf().subject(*box(), mode="texture_only", strength=0.5)
    for kinds, scale in ((("color", "color"), 4.0), (("color", "pbr"), 1.25)):
        scene = Recipe(tuple(replace(plain, material=kind) for kind in kinds))
        assert scene_settings(scene, advice).distillation.scale == scale
        assert scene_settings(scene, advice).base_share == 0


def test_a_joint_priors_stages_ask_about_all_together_and_then_about_colour_alone() -> None:
    ordinary = starter("starter").settings
    joint = replace(ordinary, modalities=("joint", "surface"), background_margin=0.0)
    found = [
        (stage.modality, stage.normal_share > 0, stage.distillation.background_margin > 0)
        for advice in (joint, replace(joint, modalities=("color",)))
        for stage in (geometry_settings(Recipe(()), advice), appearance_settings(Recipe(()), advice))
    ]
    assert found == [("joint", False, False), ("surface", False, False), ("color", False, False), ("color", False, False)]
    both = replace(ordinary, modalities=("color", "normal"))
    assert 0 < geometry_settings(Recipe(()), both).normal_share < 1


def test_the_nearest_size_is_taken() -> None:
    assert [nearest_size(wanted, (64, 256, 512)) for wanted in (1, 100, 200, 1000)] == [64, 64, 256, 512]
