"""The weights in the package: safe, small, quick to load, and refused in words when they are broken."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
import torch
from maquette_backend.priors.load import load_prior
from maquette_backend.priors.starter import weights
from maquette_backend.priors.starter.model import Denoiser, DenoiserConfig
from maquette_protocol.errors import ErrorCode, MaquetteError

CPU = torch.device("cpu")


def test_the_package_carries_one_small_safetensors_file() -> None:
    files = {path.name: path.stat().st_size for path in weights.SHIPPED.iterdir()}
    assert set(files) == {"starter.safetensors", "config.json", "CARD.md", "CREDITS.md"}
    assert sum(files.values()) <= 30 << 20


def test_the_whole_prior_loads_within_two_seconds() -> None:
    before = time.perf_counter()
    load_prior("starter", "cpu")
    assert time.perf_counter() - before <= 2


def test_loaded_weights_are_finite_frozen_and_float32() -> None:
    denoiser = weights.load_weights(weights.SHIPPED, CPU).denoiser
    assert not denoiser.training
    for parameter in denoiser.parameters():
        assert parameter.dtype == torch.float32
        assert not parameter.requires_grad
        assert parameter.isfinite().all()


def test_saving_and_loading_keeps_everything_but_half_precision(tmp_path: Path) -> None:
    original = Denoiser(DenoiserConfig(channels=8, multipliers=(1, 2), embedding_size=16))
    weights.save_weights(tmp_path, original, 32)
    loaded = weights.load_weights(tmp_path, CPU)
    assert loaded.resolution == 32
    assert loaded.denoiser.config == original.config
    for name, tensor in loaded.denoiser.state_dict().items():
        assert torch.equal(tensor, original.state_dict()[name].half().float()), name


@pytest.mark.parametrize("damage", ["missing", "cut", "other shape", "no config", "bad config", "oversize"])
def test_broken_weights_are_refused_in_words(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "weights"
    shutil.copytree(weights.SHIPPED, folder)
    file, config = folder / weights.WEIGHTS_FILE, folder / weights.CONFIG_FILE
    if damage == "missing":
        file.unlink()
    elif damage == "cut":
        file.write_bytes(file.read_bytes()[:1000])
    elif damage == "other shape":
        about = json.loads(config.read_text())
        about["denoiser"]["channels"] = 64
        config.write_text(json.dumps(about))
    elif damage == "no config":
        config.unlink()
    elif damage == "bad config":
        config.write_text("{")
    else:
        with file.open("r+b") as opened:
            opened.truncate(weights.MAX_BYTES + 1)
    with pytest.raises(MaquetteError, match="weights") as caught:
        weights.load_weights(folder, CPU)
    assert caught.value.code == ErrorCode.INTERNAL
    assert "Reinstall" in caught.value.remedy


def test_an_unknown_prior_is_named_with_those_that_exist() -> None:
    with pytest.raises(MaquetteError, match="dreamer") as caught:
        load_prior("dreamer", "cpu")
    assert caught.value.code == ErrorCode.UNKNOWN_PRIOR
    assert "starter" in caught.value.remedy
