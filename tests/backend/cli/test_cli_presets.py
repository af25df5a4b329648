"""``refine``'s flags: presets, priors, ControlNets and scales in place of the saved recipe's; what is wrong is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from maquette_backend.cli import refine_command
from maquette_backend.cli.main import main
from maquette_backend.priors.registry import BUILT_IN
from maquette_protocol.presets import BUILT_IN_PRIORS, with_preset
from maquette_protocol.recipe import ArrayRef, Control, FurtherPrior, Guidance, MeshRef, Recipe, Subject
from maquette_protocol.recipe_text import recipe_to_json

MESH = MeshRef(ArrayRef("11" * 32, "f4", (8, 3)), ArrayRef("22" * 32, "i4", (12, 3)))
RECIPE = Recipe((Subject("0" * 32, "Cube", "a chair", MESH),), seed=3)


def test_the_protocol_knows_the_built_in_priors_by_their_names() -> None:
    assert BUILT_IN_PRIORS == BUILT_IN


@pytest.mark.parametrize("arguments", [[], ["--preset", "xdreamer"]])
def test_the_job_gets_the_recipe_with_the_preset(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "saved.json").write_text(recipe_to_json(RECIPE))
    refined: list[Recipe] = []
    monkeypatch.setattr(refine_command, "refine_job", lambda recipe, *rest: refined.append(recipe))
    places = ["--blobs", str(tmp_path), "--out", str(tmp_path / "out"), "--home", str(tmp_path)]
    assert main(["refine", str(tmp_path / "saved.json"), *places, *arguments]) == 0
    assert refined == [with_preset(RECIPE, "xdreamer") if arguments else RECIPE]
    assert refined[0].guidance.cg_lora == bool(arguments)


FLAGS = {
    "prior": (["--prior", "sd15"], {"prior": "sd15"}),
    "weights": (
        ["--prior-weight", "0.5", "--further-prior", "mv=40", "--further-prior", "starter-4-views"],
        {"prior_weight": 0.5, "further_priors": (FurtherPrior("mv", 40.0), FurtherPrior("starter-4-views"))},
    ),
    "controls": (
        ["--control", "depths=0.75", "--control", "normals"],
        {"controls": (Control("depths", 0.75), Control("normals"))},
    ),
    "scales": (
        ["--geometry-scale", "100:20", "--appearance-scale", "7.5"],
        {"guidance": Guidance(geometry_scale=100.0, geometry_scale_end=20.0, appearance_scale=7.5)},
    ),
}


@pytest.mark.parametrize("flags", FLAGS)
def test_each_flag_changes_what_it_names_and_nothing_else(flags: str, refined: Callable[..., Recipe]) -> None:
    arguments, changes = FLAGS[flags]
    assert refined(*arguments) == replace(RECIPE, **changes)


def test_a_preset_suits_the_prior_that_is_asked_for_and_scales_come_before_its_own(refined: Callable[..., Recipe]) -> None:
    found = refined("--prior", "sd15", "--preset", "dreamfusion", "--geometry-scale", "30:10")
    expected = with_preset(replace(RECIPE, prior="sd15"), "dreamfusion")
    scales = replace(expected.guidance, geometry_scale=30.0, geometry_scale_end=10.0)
    assert found == replace(expected, guidance=scales)
    assert found.stages != RECIPE.stages, "with a model of one's own its lengths count"


@pytest.mark.parametrize("words", ["--control depths=much", "--geometry-scale 100:less"])
def test_what_is_no_number_is_refused_with_an_example(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["refine", "x.json", "--blobs", ".", "--out", ".", *words.split()])
    assert "is no number: write" in capsys.readouterr().err


def test_a_prior_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "saved.json").write_text(recipe_to_json(RECIPE))
    places = ["--blobs", str(tmp_path), "--out", str(tmp_path / "out"), "--home", str(tmp_path)]
    assert main(["refine", str(tmp_path / "saved.json"), *places, "--further-prior", "gone"]) == 1
    assert "no prior “gone”" in capsys.readouterr().err


@pytest.fixture
def refined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recipe]:
    """Runs the command with more arguments; the recipe that the job gets. Whether the names are there is not asked."""

    def run(*arguments: str) -> Recipe:
        (tmp_path / "saved.json").write_text(recipe_to_json(RECIPE))
        got: list[Recipe] = []
        monkeypatch.setattr(refine_command, "refine_job", lambda recipe, *rest: got.append(recipe))
        monkeypatch.setattr(refine_command, "check_recipe", lambda *given: None)
        places = ["--blobs", str(tmp_path), "--out", str(tmp_path / "out"), "--home", str(tmp_path)]
        assert main(["refine", str(tmp_path / "saved.json"), *places, *arguments]) == 0
        return got[0]

    return run


def test_an_unknown_preset_is_refused_with_the_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["refine", "x.json", "--blobs", ".", "--out", ".", "--preset", "magic"])
    assert "prolificdreamer" in capsys.readouterr().err


def test_a_preset_leaves_the_subjects_alone() -> None:
    assert with_preset(replace(RECIPE, prior="sd15"), "fantasia3d").subjects == RECIPE.subjects
