"""LoRA files: folded in as the formula says, and refused with the reason where they belong to another model."""

from __future__ import annotations

import pytest
import torch
from diffusers import StableDiffusion3Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from maquette_backend.priors.diffusers.loading import Machine, load_model
from maquette_backend.priors.registry import describe
from maquette_protocol.errors import ErrorCode, MaquetteError
from safetensors.torch import save_file

CPU = Machine(torch.device("cpu"), torch.float32)
RANK, SCALE = 2, 0.5
LAYERS = {
    "stable-diffusion": ("unet", "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"),
    "stable-diffusion-xl": ("unet", "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_v"),
    "stable-diffusion-3": ("transformer", "transformer_blocks.0.attn.to_q"),
}
SAVING = {
    "stable-diffusion": (StableDiffusionPipeline, "unet_lora_layers"),
    "stable-diffusion-xl": (StableDiffusionXLPipeline, "unet_lora_layers"),
    "stable-diffusion-3": (StableDiffusion3Pipeline, "transformer_lora_layers"),
}


def low_rank(rows, columns):
    generator = torch.Generator().manual_seed(9)
    return torch.randn(RANK, columns, generator=generator), torch.randn(rows, RANK, generator=generator)


def saved(family, layer, down, up, folder):
    """As diffusers' own training scripts save it."""
    pipeline, option = SAVING[family]
    pipeline.save_lora_weights(folder, **{option: {f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}})
    return folder / "pytorch_lora_weights.safetensors"


@pytest.mark.parametrize("family", LAYERS)
def test_a_lora_adds_scale_times_up_times_down_to_its_layer_and_nothing_else(family, folder_of, prior_of, tmp_path):
    part, layer = LAYERS[family]
    before = dict(prior_of(family).parts.denoiser.network.named_parameters())
    down, up = low_rank(*before[f"{layer}.weight"].shape)
    file = saved(family, layer, down, up, tmp_path)
    model = describe("with", folder_of(family), loras=((file, SCALE),))
    after = dict(load_model(model, CPU).parts.denoiser.network.named_parameters())
    assert after.keys() == before.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {f"{layer}.weight"}
    difference = after[f"{layer}.weight"] - before[f"{layer}.weight"]
    torch.testing.assert_close(difference, SCALE * up @ down, atol=1e-5, rtol=1e-4)
    assert part in ("unet", "transformer")


def test_a_lora_of_the_text_encoder_changes_what_prompts_mean(folder_of, prior_of, tmp_path):
    layer = "text_model.encoder.layers.0.self_attn.q_proj"
    down, up = low_rank(12, 12)
    StableDiffusionPipeline.save_lora_weights(
        tmp_path, text_encoder_lora_layers={f"{layer}.lora_A.weight": down, f"{layer}.lora_B.weight": up}
    )
    file = tmp_path / "pytorch_lora_weights.safetensors"
    prior = load_model(describe("with", folder_of("stable-diffusion"), loras=((file, SCALE),)), CPU)
    pipe = StableDiffusionPipeline.from_pretrained(folder_of("stable-diffusion"))
    weights = dict(pipe.text_encoder.named_parameters())
    name = next(name for name in weights if name.endswith("layers.0.self_attn.q_proj.weight"))
    with torch.no_grad():
        weights[name] += SCALE * up @ down
    expected = pipe.encode_prompt(["a chair"], torch.device("cpu"), 1, False)[0]
    found = prior.encode_text(["a chair"]).data
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert (found - prior_of("stable-diffusion").encode_text(["a chair"]).data).abs().max() > 1e-3


def refused(folder, file):
    with pytest.raises(MaquetteError) as caught:
        load_model(describe("with", folder, loras=((file, 1.0),)), CPU)
    assert caught.value.code == ErrorCode.UNKNOWN_PRIOR
    assert "this base model" in caught.value.remedy
    assert file.name in caught.value.message
    assert str(file.parent) not in caught.value.message
    return caught.value.message


def test_a_lora_of_another_model_is_refused_with_the_reason(folder_of, tmp_path):
    _, layer = LAYERS["stable-diffusion"]
    wide = saved("stable-diffusion", layer, *low_rank(64, 64), tmp_path / "wide")
    assert "size mismatch" in refused(folder_of("stable-diffusion"), wide) or "does not fit this model's unet" in refused(
        folder_of("stable-diffusion"), wide
    )
    elsewhere = saved("stable-diffusion", "down_blocks.7.attentions.0.to_q", *low_rank(8, 8), tmp_path / "elsewhere")
    assert "unet" in refused(folder_of("stable-diffusion"), elsewhere)


def test_a_lora_that_fits_only_in_part_is_refused_with_the_count(folder_of, tmp_path):
    _, layer = LAYERS["stable-diffusion"]
    down, up = low_rank(8, 8)
    layers = {}
    for name in (layer, layer.replace("down_blocks.0", "down_blocks.9")):
        layers |= {f"{name}.lora_A.weight": down.clone(), f"{name}.lora_B.weight": up.clone()}
    StableDiffusionPipeline.save_lora_weights(tmp_path, unet_lora_layers=layers)
    text = refused(folder_of("stable-diffusion"), tmp_path / "pytorch_lora_weights.safetensors")
    assert "only 1 of its 2 layers for the unet" in text


def test_a_file_of_something_else_is_refused(folder_of, tmp_path):
    save_file({"a": torch.zeros(2)}, tmp_path / "no.safetensors")
    assert "it has no LoRA layers" in refused(folder_of("stable-diffusion"), tmp_path / "no.safetensors")
    (tmp_path / "no.bin").write_bytes(b"")
    with pytest.raises(MaquetteError, match=r"it is no \.safetensors file"):
        describe("with", folder_of("stable-diffusion"), loras=((tmp_path / "no.bin", 1.0),))
