"""ControlNets: registered by the owner, trusted as little as any model, heard as diffusers' own pipelines hear them."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
)
from job_in_memory import SMALL, Shelf, equal, run
from maquette_backend.cli.doctor import findings
from maquette_backend.cli.main import main
from maquette_backend.priors.catalogue import BUILT_IN, control_names, prior_names
from maquette_backend.priors.control import Hint
from maquette_backend.priors.control_folder import inspect_control
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior
from maquette_backend.priors.load import load_control, load_prior
from maquette_backend.priors.prior import Views
from maquette_backend.priors.registry import FILE, describe, describe_control, read_registry, register
from maquette_backend.server.prior_list import PriorNames
from maquette_backend.server.serve import _welcome
from maquette_backend.workers.process import PriorLoader
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Control, Guidance, Recipe
from refine_shapes import box
from tiny_models import SIDE, SIZE, control_net, control_net_xl, edit_json

WEIGHTS = "diffusion_pytorch_model.safetensors"
STAGES = replace(SMALL, geometry_steps=0, appearance_steps=3, finish_steps=1, views_per_step=4, render_size=16, preview_every=0)
MADE = {"stable-diffusion": control_net, "stable-diffusion-2": lambda to: control_net(to, 20), "stable-diffusion-xl": control_net_xl,
        "multi-view": control_net}  # fmt: skip
PIPELINES = {
    "stable-diffusion": (StableDiffusionPipeline, StableDiffusionControlNetPipeline),
    "stable-diffusion-2": (StableDiffusionPipeline, StableDiffusionControlNetPipeline),
    "stable-diffusion-xl": (StableDiffusionXLPipeline, StableDiffusionXLControlNetPipeline),
}


@pytest.fixture
def folder(tmp_path) -> Path:
    return control_net(tmp_path / "control")


def said(arrange) -> MaquetteError:
    with pytest.raises(MaquetteError) as caught:
        arrange()
    assert caught.value.remedy
    return caught.value


# ---- registering -----------------------------------------------------------------------------------------
def test_owner_adds_lists_verifies_and_removes(folder, tmp_path, capsys):
    home = ["--home", str(tmp_path / "home")]
    models = tmp_path / "home" / "models"
    assert main(["models", "add", "depths", str(folder), *home]) == 2
    assert "--control depth or --control normal" in capsys.readouterr().err
    assert main(["models", "add", "depths", str(folder), "--control", "depth", *home]) == 0
    assert main(["models", *home]) == 0
    assert main(["models", "verify", *home]) == 0
    out = capsys.readouterr().out
    assert "depths  controlnet (depth), " in out
    assert "2 files are as they were registered" in out
    assert prior_names(models) == BUILT_IN
    assert control_names(models) == ("depths",)
    assert all(finding.fine for finding in findings(tmp_path / "home") if finding.name == "model depths")
    other = describe_control("depths", folder, "normal")
    assert other.identity != read_registry(models)["depths"].identity, "what it shows is part of what it is"
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-4])
    assert main(["models", "verify", *home]) == 1
    assert "is damaged" in capsys.readouterr().out
    assert main(["models", "remove", "depths", *home]) == 0


def test_a_whole_model_is_no_control_and_a_control_no_prior(folder, folder_of, tmp_path):
    assert "config.json can't be read" in said(lambda: describe_control("x", folder_of("stable-diffusion"), "depth")).message
    assert "no model_index.json" in said(lambda: describe("x", folder)).message
    register(tmp_path, describe_control("depths", folder, "depth"))
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    loader = PriorLoader(tmp_path)
    assert "no prior called “depths”" in said(lambda: loader("depths")).message
    refused = said(lambda: loader.control("mine"))
    assert "no ControlNet called “mine”" in refused.message
    assert refused.remedy == "Choose one of: depths."


def test_the_gateway_tells_of_new_ones_without_a_restart_and_survives_a_broken_list(folder, tmp_path):
    names = PriorNames(tmp_path)
    assert names.controls() == ()
    register(tmp_path, describe_control("depths", folder, "depth"))
    assert (names(), names.controls()) == (BUILT_IN, ("depths",))
    welcome = _welcome(names, "CPU")
    assert (welcome.priors, welcome.controls) == (BUILT_IN, ("depths",))
    (tmp_path / FILE).write_text("{")
    assert names.controls() == ("depths",)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda to: edit_json(to / "config.json", _class_name="os.system"), "it is a os.system, not a ControlNetModel"),
        (lambda to: edit_json(to / "config.json", conditioning_channels=1), "pictures of 1 channels, not 3"),
        (lambda to: (to / "config.json").write_text("{"), "config.json can't be read"),
        (lambda to: (to / WEIGHTS).rename(to / "diffusion_pytorch_model.bin"), "as a pickle only (diffusion_pytorch_model.bin)"),
        (lambda to: (to / WEIGHTS).unlink(), f"{WEIGHTS} is missing"),
        (lambda to: (to / WEIGHTS).write_bytes(b"\x00" * 64), f"{WEIGHTS} is damaged"),
    ],
)
def test_what_can_not_be_a_control_is_said_with_a_remedy(spoil, words, folder):
    spoil(folder)
    refused = said(lambda: describe_control("depths", folder, "depth"))
    assert refused.code == ErrorCode.UNKNOWN_PRIOR
    assert words in refused.message


def test_a_file_that_is_not_what_was_registered_is_not_loaded(folder, tmp_path):
    register(tmp_path, describe_control("depths", folder, "depth"))
    control_net(folder, seed=6)
    refused = said(lambda: load_control("depths", "cpu", tmp_path))
    assert "does not have the registered SHA-256" in refused.message
    assert "“depths”" in refused.message
    assert str(tmp_path) not in refused.message


# ---- in the network -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("family", PIPELINES)
def test_a_step_of_diffusers_own_pipeline_gives_the_same_picture(family, folder_of, prior_of, tmp_path):
    """As ``test_one_step_of_diffusers_own_sampling_gives_the_same_picture``, the ControlNet's pipeline taking its place."""
    to = MADE[family](tmp_path / "control")
    whole, controlled = PIPELINES[family]
    parts = whole.from_pretrained(folder_of(family), local_files_only=True).components
    parts.pop("image_encoder", None)
    pipe = controlled(**parts, controlnet=ControlNetModel.from_pretrained(to),
                      **({"requires_safety_checker": False} if "safety_checker" in parts else {"add_watermarker": False}))  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    changes = {"timestep_spacing": "trailing", "set_alpha_to_one": True, "clip_sample": False}
    pipe.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, **changes)
    generator = torch.Generator().manual_seed(4)
    noise, picture = torch.randn(1, 4, SIDE, SIDE, generator=generator), torch.rand(1, 3, SIZE, SIZE, generator=generator)
    with torch.no_grad():
        theirs = pipe(
            "a red chair", image=picture, guidance_scale=1.0, controlnet_conditioning_scale=0.7, num_inference_steps=1,
            output_type="latent", latents=noise, height=SIZE, width=SIZE,
        ).images  # fmt: skip
        prior = prior_of(family)
        register(tmp_path, describe_control("shown", to, "normal"))
        control = load_control("shown", "cpu", tmp_path)
        prior.check_control(control)
        asked = (noise, torch.ones(1), prior.encode_text(["a red chair"]).data, None, "color")
        alone = prior.predict_denoised(*asked)
        with prior.hearing([Hint(control, picture, 0.7)]):
            ours = prior.predict_denoised(*asked)
        after = prior.predict_denoised(*asked)
    scale = float(theirs.abs().max())
    torch.testing.assert_close(ours, theirs, atol=2e-3 * scale, rtol=1e-3)
    assert (alone - ours).abs().max() > 0.02 * scale
    assert torch.equal(alone, after), "nothing of it stays"


def test_each_view_hears_its_own_picture_whatever_is_asked_at_once(prior_of, folder, tmp_path):
    whole = prior_of("stable-diffusion")
    register(tmp_path, describe_control("shown", folder, "depth"))
    control = load_control("shown", "cpu", tmp_path)
    generator = torch.Generator().manual_seed(2)
    noisy, pictures = torch.randn(4, 4, SIDE, SIDE, generator=generator), torch.rand(4, 3, 40, 40, generator=generator)
    text, negative = (whole.encode_text([words] * 4).data for words in ("a chair", ""))
    views = Views(torch.linspace(0, 4, 4), torch.zeros(4), torch.full((4,), 2.0), torch.full((4,), 0.7))
    time = torch.full((4,), 0.5)
    cut = DiffusersPrior(replace(whole.parts, samples=2), whole.settings, whole.identity)
    found = []
    for prior in (whole, cut):
        with prior.hearing([Hint(control, pictures, 1.0), Hint(control, pictures.flip(3), 0.5)]):
            found.append(prior.predict_told_and_untold(noisy, time, text, negative, views, "color"))
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)
    for number in range(4):
        one = [part[number : number + 1] for part in (noisy, time, text)]
        hints = [Hint(control, pictures[number : number + 1], 1.0), Hint(control, pictures[number : number + 1].flip(3), 0.5)]
        with whole.hearing(hints):
            alone = whole.predict_denoised(*one, None, "color")
        torch.testing.assert_close(found[0][0][number : number + 1], alone, atol=1e-4, rtol=1e-4)


# ---- in a job --------------------------------------------------------------------------------------------------
def job(shelf: Shelf, *controls: Control, prior: str = "mine", **guidance) -> Recipe:
    subject = shelf.subject(*box(), mode="keep_topology")
    return Recipe((subject,), stages=STAGES, prior=prior, controls=controls, guidance=Guidance(**guidance))


@pytest.mark.parametrize("family", MADE)
def test_a_refinement_hears_depth_and_normals_in_every_step(family, folder_of, tmp_path, monkeypatch):
    register(tmp_path, describe("mine", folder_of(family)))
    for name, shows in (("depths", "depth"), ("normals", "normal")):
        register(tmp_path, describe_control(name, MADE[family](tmp_path / name), shows))
    loader, shelf = PriorLoader(tmp_path), Shelf()
    plain = run(job(shelf), shelf, priors=loader).results[0]
    silent = run(job(shelf, Control("depths", 0.0)), shelf, priors=loader).results[0]
    assert equal(plain, silent)
    heard = []
    control = loader.control
    both = job(shelf, Control("depths", 0.5), Control("normals"))
    loader.expect(["mine"], ["depths", "normals"])
    for name in ("depths", "normals"):
        loaded = control(name)
        own = loaded.residuals
        monkeypatch.setattr(
            loaded, "residuals", lambda *given, own=own, name=name: heard.append((name, given[3])) or own(*given)
        )
    result = run(both, shelf, priors=loader).results[0]
    assert not np.array_equal(result.base_color, plain.base_color)
    assert len(heard) == 2 * (3 + 5), "three steps, and the five of the finish"
    for name, picture in heard:
        assert picture.shape[1:] == (3, SIZE, SIZE)
        assert picture.min() >= 0
        grey = torch.equal(picture[:, 0], picture[:, 1])
        assert grey == (name == "depths")


def test_x_dreamers_ideas_and_vsd_go_with_it_and_leave_the_network_as_it_was(folder_of, folder, tmp_path):
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    register(tmp_path, describe_control("depths", folder, "depth"))
    loader, shelf = PriorLoader(tmp_path), Shelf()
    network = loader("mine").denoiser()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    run(job(shelf, Control("depths"), method="vsd", cg_lora=True, ama=0.1), shelf, priors=loader)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    own = loader.control("depths").network
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in own.parameters())


@pytest.mark.parametrize(
    ("family", "made", "words"),
    [
        ("stable-diffusion-2", control_net, "its cross-attention width is 12, and the prior's 20"),
        ("stable-diffusion-xl", lambda to: control_net(to, 24), "its additional embedding is None, and the prior's text_time"),
        ("stable-diffusion", lambda to: control_net(to, in_channels=5), "its latent channels is 5, and the prior's 4"),
        ("stable-diffusion-3", control_net, "only Stable Diffusion 1, 2 and XL"),
        (None, control_net, "The prior “starter” hears no ControlNet"),
    ],
)
def test_one_for_another_network_is_refused_before_the_first_step(family, made, words, folder_of, tmp_path):
    register(tmp_path, describe_control("depths", made(tmp_path / "control"), "depth"))
    if family:
        register(tmp_path, describe("mine", folder_of(family)))
    shelf = Shelf()
    recipe = job(shelf, Control("depths"), prior="mine" if family else "starter")
    refused = said(lambda: run(recipe, shelf, priors=PriorLoader(tmp_path)))
    assert refused.code == ErrorCode.INVALID_RECIPE
    assert words in refused.message


@pytest.mark.parametrize(("device", "loads"), [("cuda", [(), ("depths", "normals"), ()]), ("cpu", [()])])
def test_a_gpus_prior_is_laid_out_for_the_control_nets_of_its_job(device, loads, folder_of, folder, tmp_path, monkeypatch):
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    for name, shows in (("depths", "depth"), ("normals", "normal")):
        register(tmp_path, describe_control(name, folder, shows))
    asked = []
    monkeypatch.setattr("maquette_backend.priors.load.load_prior", lambda *given: asked.append(given[3]))
    priors = PriorLoader(tmp_path)
    priors.__dict__["_device"] = device
    for controls in ([], ["normals", "depths"], ["depths", "normals"], []):
        priors.expect(["mine"], controls)
        priors("mine")
    assert asked == loads


def test_a_prior_is_told_of_the_control_nets_that_will_be_beside_it(folder_of, folder, tmp_path, monkeypatch):
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    register(tmp_path, describe_control("depths", folder, "depth"))
    found = []
    monkeypatch.setattr("maquette_backend.priors.diffusers.loading.load_model", lambda *given: found.append(given[2]))
    load_prior("mine", "cpu", tmp_path, ["depths"])
    assert [one.weights.parameters for one in found[0]] == [inspect_control(folder).weights.parameters]
    with pytest.raises(MaquetteError, match="no ControlNet called “gone”"):
        load_prior("mine", "cpu", tmp_path, ["gone"])


def test_one_that_vanishes_while_its_job_is_queued_fails_the_job_in_plain_words(folder_of, folder, tmp_path):
    register(tmp_path, describe("mine", folder_of("stable-diffusion")))
    register(tmp_path, describe_control("depths", folder, "depth"))
    loader, shelf = PriorLoader(tmp_path), Shelf()
    shutil.rmtree(folder)
    refused = said(lambda: run(job(shelf, Control("depths")), shelf, priors=loader))
    assert refused.code == ErrorCode.UNKNOWN_PRIOR
    assert "“depths”" in refused.message
    assert str(tmp_path) not in refused.message
