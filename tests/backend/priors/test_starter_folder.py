"""The shipped folder is an ordinary diffusers pipeline: each part loads alone, and gives what the prior gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from maquette_backend.priors.starter.folder import MAX_BYTES, SHIPPED, folder_bytes, load_folder, save_folder
from maquette_backend.priors.starter.words import TOKENS
from maquette_protocol.errors import ErrorCode, MaquetteError
from transformers import AutoTokenizer, BertModel

CPU = torch.device("cpu")


def test_the_folder_fits_its_bound() -> None:
    assert folder_bytes(SHIPPED) <= MAX_BYTES


def test_others_can_load_every_part_with_the_libraries_alone() -> None:
    """Text → words → one denoising step, by diffusers and transformers only, equals the prior's own path."""
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED / "tokenizer", local_files_only=True)
    bert = BertModel.from_pretrained(SHIPPED / "text_encoder", local_files_only=True, add_pooling_layer=False).float()
    network = UNet2DConditionModel.from_pretrained(SHIPPED, subfolder="unet", local_files_only=True).float()
    scheduler = DDIMScheduler.from_pretrained(SHIPPED, subfolder="scheduler", local_files_only=True)
    marked = tokenizer(
        ["a red sofa"], padding="max_length", truncation=True, max_length=TOKENS, return_tensors="pt"
    )
    noisy, labels = torch.randn(1, 28, 32, 32), torch.randn(1, 40)
    with torch.no_grad():
        words = bert(input_ids=marked["input_ids"], attention_mask=marked["attention_mask"]).last_hidden_state
        predicted = network(noisy, 700, words, class_labels=labels).sample
        loaded = load_folder(SHIPPED, CPU)
        torch.testing.assert_close(loaded.words.encode(["a red sofa"]), words, atol=1e-4, rtol=1e-4)
        ours = loaded.network(noisy, 700, loaded.words.encode(["a red sofa"]), class_labels=labels).sample
    torch.testing.assert_close(ours, predicted, atol=1e-3, rtol=1e-3)
    assert scheduler.config["prediction_type"] == "v_prediction"
    assert set(json.loads((SHIPPED / "model_index.json").read_text())) >= {"unet", "scheduler", "text_encoder", "tokenizer"}


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    loaded = load_folder(SHIPPED, CPU)
    save_folder(tmp_path, loaded.network, SHIPPED)
    again = load_folder(tmp_path, CPU)
    assert again.sha256 == loaded.sha256
    assert str(tmp_path) not in (tmp_path / "unet" / "config.json").read_text()
    assert "_name_or_path" not in (tmp_path / "unet" / "config.json").read_text()
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor), name


@pytest.mark.parametrize("damage", ["unet", "text_encoder", "tokenizer"])
def test_a_missing_part_is_named(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(SHIPPED, folder)
    shutil.rmtree(folder / damage)
    with pytest.raises(MaquetteError, match="can't be used") as caught:
        load_folder(folder, CPU)
    assert caught.value.code == ErrorCode.INTERNAL
    assert "make prior" in caught.value.remedy


def test_weights_of_another_size_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    shutil.copytree(SHIPPED, folder)
    with (folder / "unet" / "diffusion_pytorch_model.safetensors").open("ab") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(MaquetteError, match="more than"):
        load_folder(folder, CPU)
