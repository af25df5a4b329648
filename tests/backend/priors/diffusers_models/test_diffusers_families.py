"""Each family through the real path, against diffusers' own pipelines as the reference."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny, StableDiffusion3Pipeline, StableDiffusionPipeline, StableDiffusionXLPipeline
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior
from maquette_backend.priors.diffusers.loading import Machine, load_model
from maquette_backend.priors.diffusers.pictures import Pictures
from maquette_backend.priors.diffusers.precision import Careful
from maquette_backend.priors.diffusers.texts import Layout
from maquette_backend.priors.prior import Prior, ReadsPrompts, Views
from maquette_backend.priors.registry import describe
from maquette_protocol.errors import ErrorCode, MaquetteError
from safetensors.torch import load_file, save_file
from tiny_models import FAMILIES, SIZE, TOKENS, edit_json, stable_diffusion_3

CPU = Machine(torch.device("cpu"), torch.float32)
PIPELINES = {
    "stable-diffusion": StableDiffusionPipeline,
    "stable-diffusion-2": StableDiffusionPipeline,
    "stable-diffusion-xl": StableDiffusionXLPipeline,
    "stable-diffusion-3": StableDiffusion3Pipeline,
}
PROMPTS = ["a red chair", "b", "a long, long prompt of which only a part is read"]


def pipeline(family, folder, **parts):
    made = PIPELINES[family].from_pretrained(folder, local_files_only=True, **parts)
    made.set_progress_bar_config(disable=True)
    return made


def reference_text(family, pipe, prompts):
    """Tokens and pooled vectors (None for Stable Diffusion 1 and 2) as diffusers encodes them."""
    if family.startswith("stable-diffusion-3"):
        tokens, _, pooled, _ = pipe.encode_prompt(prompts, None, None, do_classifier_free_guidance=False)
        return tokens, pooled
    if family == "stable-diffusion-xl":
        tokens, _, pooled, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False)
        return tokens, pooled
    return pipe.encode_prompt(prompts, torch.device("cpu"), 1, False)[0], None


@pytest.mark.parametrize("family", PIPELINES)
def test_prompts_are_encoded_as_diffusers_does(family, folder_of, prior_of):
    prior = prior_of(family)
    tokens, pooled = reference_text(family, pipeline(family, folder_of(family)), PROMPTS)
    packed = prior.encode_text(PROMPTS).data
    found, found_pooled = Layout(0 if pooled is None else pooled.shape[1]).unpack(packed)
    torch.testing.assert_close(found, tokens, atol=1e-5, rtol=1e-4)
    if pooled is not None:
        torch.testing.assert_close(found_pooled, pooled, atol=1e-5, rtol=1e-4)
    assert torch.equal(prior.encode_text(PROMPTS[1:2]).data[0], packed[1])


def test_the_empty_text_of_xl_is_zero_where_the_model_says_so(folder_of, prior_of, tmp_path):
    assert not prior_of("stable-diffusion-xl").encode_text([""]).data.any()
    folder = shutil.copytree(folder_of("stable-diffusion-xl"), tmp_path / "model")
    edit_json(folder / "model_index.json", force_zeros_for_empty_prompt=False)
    encoded = load_model(describe("xl", folder), CPU).encode_text([""]).data
    tokens, _ = reference_text("stable-diffusion-xl", pipeline("stable-diffusion-xl", folder), [""])
    torch.testing.assert_close(encoded[:, :TOKENS], tokens, atol=1e-5, rtol=1e-4)


def test_stable_diffusion_3_does_without_its_third_encoder(tmp_path):
    folder = stable_diffusion_3(tmp_path / "model", third=False)
    prior = load_model(describe("three", folder), CPU)
    pipe = pipeline("stable-diffusion-3", folder, text_encoder_3=None, tokenizer_3=None)
    tokens, pooled = reference_text("stable-diffusion-3", pipe, PROMPTS)
    found, found_pooled = Layout(pooled.shape[1]).unpack(prior.encode_text(PROMPTS).data)
    torch.testing.assert_close(found, tokens, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found_pooled, pooled, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("family", PIPELINES)
def test_one_step_of_diffusers_own_sampling_gives_the_same_picture(family, folder_of, prior_of):
    """At time 1 with a one-step schedule the pipeline's latents are the network's x0 (its samplers are DDIM and
    Euler): text, extra conditions, prediction type and times must all be right for that."""
    prior, pipe = prior_of(family), pipeline(family, folder_of(family))
    channels = pipe.vae.config.latent_channels
    noise = torch.randn(1, channels, 8, 8, generator=torch.Generator().manual_seed(4))
    if family != "stable-diffusion-3":
        # sampling from the last step, to the clean picture, without the clamp that is for pixels
        changes = {"timestep_spacing": "trailing", "set_alpha_to_one": True, "clip_sample": False}
        pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **changes)
    options = {"num_inference_steps": 1, "output_type": "latent", "latents": noise, "height": SIZE, "width": SIZE}
    with torch.no_grad():
        theirs = pipe("a red chair", guidance_scale=1.0, **options).images
        time = torch.ones(1)
        ours = prior.predict_denoised(noise, time, prior.encode_text(["a red chair"]).data, None, "color")
    torch.testing.assert_close(ours, theirs, atol=2e-3 * float(theirs.abs().max()), rtol=1e-3)


@pytest.mark.parametrize("family", FAMILIES)
def test_guidance_in_one_batch_is_both_halves_one_by_one(family, prior_of):
    prior = prior_of(family)
    generator = torch.Generator().manual_seed(5)
    encoded = prior.encode_image(torch.rand(4, 3, SIZE, SIZE, generator=generator))
    time = torch.full((4,), 0.6)
    text, negative = prior.encode_text(["a chair"] * 4).data, prior.encode_text([""] * 4).data
    views = Views(torch.linspace(0, 4, 4), torch.zeros(4), torch.full((4,), 2.0), torch.full((4,), 0.7))
    told, untold = prior.predict_told_and_untold(encoded, time, text, negative, views, "color")
    torch.testing.assert_close(told, prior.predict_denoised(encoded, time, text, views, "color"), atol=1e-4, rtol=1e-4)
    alone = prior.predict_denoised(encoded, time, negative, views, "color")
    torch.testing.assert_close(untold, alone, atol=1e-4, rtol=1e-4)
    assert (told - untold).abs().max() > 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_few_samples_at_a_time_give_what_all_at_once_give(family, folder_of, prior_of):
    whole = prior_of(family)
    cut = DiffusersPrior(replace(whole.parts, samples=4), whole.settings, whole.identity)
    noisy = torch.randn(8, whole.parts.denoiser.network.config.in_channels, 8, 8)
    text = whole.encode_text(["a chair", "", "b", "c"] * 2).data
    views = Views(torch.linspace(0, 4, 8), torch.zeros(8), torch.full((8,), 2.0), torch.full((8,), 0.7))
    time = torch.full((8,), 0.4)
    torch.testing.assert_close(
        cut.predict_denoised(noisy, time, text, views, "color"),
        whole.predict_denoised(noisy, time, text, views, "color"),
        atol=1e-4,
        rtol=1e-4,
    )


@pytest.mark.parametrize(("family", "room", "least"), [("stable-diffusion", 3, 2), ("multi-view", 4, 4)])
def test_out_of_memory_in_the_network_it_looks_at_fewer_samples_from_then_on(family, room, least, prior_of, caplog):
    """As CUDA says it, once more than ``room`` samples are shown at once."""
    whole = prior_of(family)
    seen = []

    def cramped(shown, *rest):
        seen.append(len(shown))
        if len(shown) > room:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return whole.parts.denoiser(shown, *rest)

    prior = DiffusersPrior(replace(whole.parts, denoiser=cramped), whole.settings, "mine")
    generator = torch.Generator().manual_seed(5)
    noisy, time = torch.randn(4, 4, 8, 8, generator=generator), torch.full((4,), 0.6)
    text, negative = whole.encode_text(["a chair"] * 4).data, whole.encode_text([""] * 4).data
    views = Views(torch.linspace(0, 4, 4), torch.zeros(4), torch.full((4,), 2.0), torch.full((4,), 0.7))
    asked = (noisy, time, text, negative, views, "color")
    for ours, theirs in zip(prior.predict_told_and_untold(*asked), whole.predict_told_and_untold(*asked), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert f"the network of mine looks at {least} samples at a time now" in caplog.text
    assert set(seen[-(8 // least) :]) == {least}
    seen.clear()
    prior.predict_told_and_untold(*asked)
    assert seen == [least] * (8 // least), "it does not try again"
    room = 0
    with pytest.raises(torch.OutOfMemoryError):
        prior.predict_told_and_untold(*asked)


def test_out_of_memory_in_the_vae_it_takes_one_picture_at_a_time_and_then_checkpoints(folder_of, caplog):
    prior = load_model(describe("mine", folder_of("stable-diffusion")), CPU)
    pictures = prior.parts.pictures
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    plain = pictures.encode(images)
    encode, room = pictures._encode, 1

    def cramped(given):
        if len(given) > room or (room == 0 and not pictures._vae.encoder.gradient_checkpointing):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encode(given)

    pictures._encode = cramped
    torch.testing.assert_close(pictures.encode(images), plain, atol=1e-5, rtol=1e-4)
    assert "the VAE takes one picture at a time now" in caplog.text
    assert not pictures._checkpointed
    room = 0
    with pytest.raises(torch.OutOfMemoryError):
        pictures.encode(images)
    assert pictures._checkpointed, "the last thing that could be given up"


@pytest.mark.parametrize("family", PIPELINES)
def test_latents_are_the_vaes_mean_shifted_and_scaled_by_its_own_configuration(family, folder_of, prior_of):
    images = torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(6)) * 2 - 1
    vae = pipeline(family, folder_of(family)).vae
    expected = (vae.encode(images).latent_dist.mean - (vae.config.shift_factor or 0)) * vae.config.scaling_factor
    encoded = prior_of(family).encode_image(images)
    torch.testing.assert_close(encoded, expected, atol=1e-5, rtol=1e-5)
    decoded = prior_of(family).decode_image(encoded)
    latents = encoded / vae.config.scaling_factor + (vae.config.shift_factor or 0)
    torch.testing.assert_close(decoded, vae.decode(latents).sample, atol=1e-5, rtol=1e-5)


def test_a_tiny_autoencoder_takes_the_vaes_place_as_in_diffusers_own_pipelines(folder_of, tmp_path):
    """Its latents, as a pipeline that was given it makes them of a picture, and its pictures, as it decodes them."""
    torch.manual_seed(8)
    small = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1)
    )
    parts = StableDiffusionPipeline.from_pretrained(folder_of("stable-diffusion"), local_files_only=True).components
    whole = StableDiffusionPipeline(**{**parts, "vae": small}, requires_safety_checker=False)
    whole.save_pretrained(tmp_path / "model")
    prior = load_model(describe("small", tmp_path / "model"), CPU)
    assert prior.latent_shape == (4, 8, 8)
    images = (2 * torch.rand(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3)) - 1).requires_grad_()
    latents = prior.encode_image(images)
    with torch.no_grad():
        theirs = small.encode(images).latents * small.config.scaling_factor
        shown = small.decode(theirs / small.config.scaling_factor).sample
        torch.testing.assert_close(latents, theirs)
        torch.testing.assert_close(prior.decode_image(latents), shown)
    latents.square().sum().backward()
    assert images.grad.abs().max() > 0


@pytest.mark.parametrize("size", [SIZE // 2, SIZE])
def test_the_gradient_through_the_vae_is_the_finite_difference(size, folder_of):
    """In float64, at both sizes it accepts, along a random direction."""
    prior = load_model(describe("sd", folder_of("stable-diffusion")), Machine(torch.device("cpu"), torch.float64))
    assert size in prior.settings.sizes
    generator = torch.Generator().manual_seed(7)
    image, direction = (torch.randn(1, 3, size, size, generator=generator).double() for _ in range(2))
    image.requires_grad_()
    pull = torch.randn(1, 4, 8, 8, generator=generator).double()

    def value(at):
        return (prior.encode_image(at) * pull).sum()

    (found,) = torch.autograd.grad(value(image), image)
    step = 1e-5
    with torch.no_grad():
        difference = (value(image + step * direction) - value(image - step * direction)) / (2 * step)
    torch.testing.assert_close((found * direction).sum(), difference, rtol=1e-6, atol=1e-8)
    assert found.abs().max() > 1e-4


@pytest.mark.parametrize(("one_by_one", "checkpointed"), [(True, False), (True, True)])
def test_slices_and_checkpoints_change_no_latent_and_no_gradient(one_by_one, checkpointed, folder_of, prior_of):
    whole = prior_of("stable-diffusion").parts.pictures
    vae = StableDiffusionPipeline.from_pretrained(folder_of("stable-diffusion")).vae.requires_grad_(False)
    careful = Careful(vae, torch.float32, torch.device("cpu"), "VAE")
    frugal = Pictures(vae, SIZE, careful, one_by_one=one_by_one, checkpointed=checkpointed)
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(8))
    given = [images.clone().requires_grad_() for _ in range(2)]
    encoded = [pictures.encode(one) for pictures, one in zip((whole, frugal), given, strict=True)]
    torch.testing.assert_close(encoded[1], encoded[0], atol=1e-5, rtol=1e-5)
    for one in encoded:
        (one**2).sum().backward()
    torch.testing.assert_close(given[1].grad, given[0].grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("checkpointed", [False, True])
def test_slices_that_overflow_in_half_precision_keep_their_gradient(checkpointed, folder_of):
    """The third picture alone overflows: the two before it are computed again, too."""
    results = []
    for dtype in (torch.float16, torch.float32):
        vae = StableDiffusionPipeline.from_pretrained(folder_of("stable-diffusion")).vae.requires_grad_(False)
        vae.half().float()
        vae.encoder.conv_in.weight.mul_(1024.0)
        careful = Careful(vae, dtype, torch.device("cpu"), "VAE")
        pictures = Pictures(vae, SIZE, careful, one_by_one=True, checkpointed=checkpointed)
        images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(12)).round()
        images = (images * torch.tensor([1.0, 1.0, 4096.0]).view(3, 1, 1, 1)).requires_grad_()
        (pictures.encode(images) ** 2).sum().backward()
        assert careful.dtype == torch.float32
        results.append(images.grad)
    torch.testing.assert_close(results[0], results[1])


def test_slices_hold_one_picture_s_activations_at_a_time(folder_of):
    """Counted by what autograd keeps: with slices next to nothing beyond the pictures, without more for each."""
    vae = StableDiffusionPipeline.from_pretrained(folder_of("stable-diffusion")).vae.requires_grad_(False)
    careful = Careful(vae, torch.float32, torch.device("cpu"), "VAE")

    def kept(one_by_one):
        sizes = []
        images = torch.rand(4, 3, SIZE, SIZE, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(lambda one: sizes.append(one.numel()) or one, lambda one: one):
            Pictures(vae, SIZE, careful, one_by_one=one_by_one).encode(images)
        return sum(sizes)

    assert kept(True) < kept(False) / 10


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_a_prior_that_reads_prompts_and_says_what_it_cut(family, prior_of):
    prior: Prior = prior_of(family)
    assert isinstance(prior, ReadsPrompts)
    assert prior.familiarity("a chair") is None
    assert prior.chars_read("  a chair ") == len("a chair")
    text = "chair " * 100
    read = prior.chars_read(text)
    assert 0 < read < len(text.strip())
    if family != "stable-diffusion-3":  # there the third encoder reads on
        same = [text[:read], text[:read] + " and something else at its end"]
        one, two = prior.encode_text(same).data
        assert torch.equal(one, two)
        assert read == 2 * len("chair ") + len("chai")  # 14 letters: one a token, besides two marks


def test_a_model_that_overflows_in_half_precision_gives_what_it_gives_in_float32(folder_of, tmp_path, caplog):
    """Weights that float16 holds, and activations that it does not; a group norm behind them takes the scale away."""
    folder = Path(shutil.copytree(folder_of("stable-diffusion"), tmp_path / "model"))
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    weights = {name: value.half().float() for name, value in load_file(path).items()}
    weights["conv_in.weight"] = (weights["conv_in.weight"] * 1e5).half().float()
    save_file(weights, path, metadata={"format": "pt"})
    model = describe("loud", folder)
    noisy = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(10)).half().float()
    found = []
    for dtype in (torch.float16, torch.float32):
        prior = load_model(model, Machine(torch.device("cpu"), dtype))
        text = torch.zeros(2, TOKENS, 12)
        found.append(prior.predict_noise(noisy, torch.full((2,), 0.5), text, None, "color"))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-4)
    assert "network of loud overflows in float16; it runs in float32 now" in caplog.text


def test_damaged_weights_end_with_the_model_s_name(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("stable-diffusion"), tmp_path / "model"))
    path = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights = load_file(path)
    weights["encoder.conv_in.bias"][0] = torch.nan
    save_file(weights, path, metadata={"format": "pt"})
    prior = load_model(describe("broken", folder), CPU)
    with pytest.raises(MaquetteError, match="The VAE of broken gives numbers that are not finite in float32"):
        prior.encode_image(torch.zeros(1, 3, SIZE, SIZE))


def test_settings_come_from_the_models_own_configuration(prior_of):
    assert prior_of("stable-diffusion").settings.sizes == (SIZE // 2, SIZE)
    assert prior_of("stable-diffusion").settings.modalities == ("color", "normal")
    assert prior_of("stable-diffusion").encode_text(["a"]).data.shape == (1, TOKENS, 12)
    assert prior_of("stable-diffusion-2").encode_text(["a"]).data.shape == (1, TOKENS, 20)
    assert prior_of("stable-diffusion-2").parts.schedule.prediction == "v_prediction"
    assert prior_of("stable-diffusion-3").parts.schedule.shift == 3.0
    with pytest.raises(ValueError, match=r"\[B,3,H,W\]"):
        prior_of("stable-diffusion").encode_image(torch.zeros(1, 7, SIZE, SIZE))


def test_weights_that_are_not_all_there_are_never_made_up(folder_of, tmp_path):
    """The libraries would fill a gap with random numbers, and only warn."""
    folder = Path(shutil.copytree(folder_of("stable-diffusion"), tmp_path / "model"))
    for part, file in (("unet", "diffusion_pytorch_model"), ("text_encoder", "model")):
        path = folder / part / f"{file}.safetensors"
        whole = load_file(path)
        save_file(dict(list(whole.items())[1:]), path, metadata={"format": "pt"})
        with pytest.raises(MaquetteError, match=f"{part} lacks 1 of its weights") as caught:
            load_model(describe("gap", folder), CPU)
        assert caught.value.code == ErrorCode.UNKNOWN_PRIOR
        assert str(tmp_path) not in str(caught.value)
        save_file(whole, path, metadata={"format": "pt"})
