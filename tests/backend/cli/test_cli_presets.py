"""``refine --preset``: the preset's guidance and lengths in place of the saved recipe's; wrong names are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from maquette_backend.cli import refine_command
from maquette_backend.cli.main import main
from maquette_backend.priors.registry import BUILT_IN
from maquette_protocol.presets import BUILT_IN_PRIORS, with_preset
from maquette_protocol.recipe import ArrayRef, MeshRef, Recipe, Subject
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


def test_an_unknown_preset_is_refused_with_the_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["refine", "x.json", "--blobs", ".", "--out", ".", "--preset", "magic"])
    assert "prolificdreamer" in capsys.readouterr().err


def test_a_preset_leaves_the_subjects_alone() -> None:
    assert with_preset(replace(RECIPE, prior="sd15"), "fantasia3d").subjects == RECIPE.subjects
