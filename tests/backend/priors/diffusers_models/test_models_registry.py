"""Registering models: what is accepted, what is refused and with which words, and what is noticed later."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny
from huggingface_hub.utils import filter_repo_objects
from maquette_backend.cli.doctor import findings
from maquette_backend.cli.main import main
from maquette_backend.priors.catalogue import BUILT_IN, prior_identity, prior_names
from maquette_backend.priors.diffusers.loading import Machine, load_model
from maquette_backend.priors.hub import download
from maquette_backend.priors.model_folder import inspect_folder
from maquette_backend.priors.registry import FILE, describe, read_registry, register, sha256_of
from maquette_backend.server.prior_list import PriorNames
from maquette_protocol.errors import ErrorCode, MaquetteError
from tiny_models import FAMILIES, edit_json

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(folder_of, tmp_path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(folder_of("stable-diffusion"), tmp_path / "model"))


def said(folder: Path) -> str:
    """What is said of a folder that can't be used, remedy and all."""
    with pytest.raises(MaquetteError) as caught:
        inspect_folder(folder)
    assert caught.value.code == ErrorCode.UNKNOWN_PRIOR
    assert caught.value.remedy
    return str(caught.value)


@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_told_from_its_folder_and_every_read_file_is_hashed(name, folder_of):
    model = describe("some", folder_of(name))
    assert model.family == name.removesuffix("-2")
    on_disk = {path.relative_to(folder_of(name)).as_posix() for path in folder_of(name).rglob("*") if path.is_file()}
    assert {file.path for file in model.files} == on_disk
    assert all(file.sha256 == sha256_of(folder_of(name) / file.path) for file in model.files)
    assert model.size == sum((folder_of(name) / path).stat().st_size for path in on_disk)


def test_owner_adds_lists_verifies_and_removes(folder, tmp_path, capsys):
    home = ["--home", str(tmp_path / "home")]
    assert main(["models", "add", "tiny", str(folder), *home]) == 0
    assert main(["models", *home, "list"]) == 0
    assert main(["models", "verify", *home]) == 0
    out = capsys.readouterr().out
    assert "stable-diffusion, 0.4 MB" in out
    assert "files are as they were registered" in out
    assert prior_names(tmp_path / "home" / "models") == (*BUILT_IN, "tiny")
    assert main(["models", "add", "tiny", str(folder), *home]) == 1
    assert "models remove tiny" in capsys.readouterr().err
    assert main(["models", "remove", "tiny", *home]) == 0
    assert folder.is_dir()
    assert prior_names(tmp_path / "home" / "models") == BUILT_IN
    assert main(["models", "remove", "tiny", *home]) == 1


def test_a_byte_that_changed_is_found_by_verify_even_if_size_and_date_are_as_before(folder, tmp_path, capsys):
    home = ["--home", str(tmp_path / "home")]
    main(["models", "add", "tiny", str(folder), *home])
    weights = folder / "unet" / WEIGHTS
    about, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(about.st_atime_ns, about.st_mtime_ns))
    (model,) = read_registry(tmp_path / "home" / "models").values()
    assert list(model.problems(thorough=False)) == []
    capsys.readouterr()
    assert main(["models", "verify", "tiny", *home]) == 1
    assert f"{weights} does not have the registered SHA-256" in capsys.readouterr().out
    os.utime(weights)
    assert len(list(model.problems(thorough=False))) == 1


def test_a_folder_with_pickles_only_is_refused_and_one_with_both_is_not(folder):
    (folder / "unet" / "diffusion_pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert not any(path.suffix == ".bin" for path in inspect_folder(folder).files)
    (folder / "unet" / WEIGHTS).unlink()
    text = said(folder)
    assert "unet has its weights as a pickle only (diffusion_pytorch_model.bin)" in text
    assert "docs/models.md" in text


def test_half_precision_weights_are_taken_where_there_are_no_others(folder):
    (folder / "unet" / WEIGHTS).rename(folder / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    assert inspect_folder(folder).variant("unet") == "fp16"
    assert inspect_folder(folder).variant("vae") is None


def test_a_missing_shard_and_a_shard_outside_are_named(folder):
    index = folder / "unet" / f"{WEIGHTS}.index.json"
    (folder / "unet" / WEIGHTS).rename(folder / "unet" / "a-00001-of-00002.safetensors")
    shards = {"conv_in.weight": "a-00001-of-00002.safetensors", "conv_out.weight": "a-00002-of-00002.safetensors"}
    index.write_text(json.dumps({"weight_map": shards}))
    assert "the shard unet/a-00002-of-00002.safetensors is missing" in said(folder)
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../../a.safetensors"}}))
    assert "“../../a.safetensors”" in said(folder)


def test_a_file_that_was_cut_short_is_named(folder):
    weights = folder / "vae" / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-1])
    assert f"vae/{WEIGHTS} is damaged" in said(folder)


@pytest.mark.parametrize(
    ("where", "changes", "words"),
    [
        ("model_index.json", {"_class_name": "FluxPipeline"}, "unknown family “FluxPipeline”"),
        ("model_index.json", {"unet": ["os", "system"]}, "its unet is a os.system"),
        ("model_index.json", {"unet": ["mvdream", "MultiViewUNetModel"]}, "code of their own are never loaded"),
        ("model_index.json", {"text_encoder": None}, "it has no text_encoder"),
        ("unet/config.json", {"in_channels": 9}, "takes 9 channels and its VAE makes 4"),
        ("scheduler/scheduler_config.json", {"_class_name": "EDMEulerScheduler"}, "its scheduler is a EDMEulerScheduler"),
    ],
)
def test_what_can_not_be_a_prior_is_said_with_name_and_remedy(folder, where, changes, words):
    edit_json(folder / where, **changes)
    assert words in said(folder)


def test_cameras_of_another_length_are_refused(folder_of, tmp_path):
    folder = Path(shutil.copytree(folder_of("multi-view"), tmp_path / "model"))
    edit_json(folder / "unet" / "config.json", projection_class_embeddings_input_dim=12)
    assert "its cameras have 12 numbers, not 16" in said(folder)


def test_a_single_file_is_no_folder(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "only model.safetensors" in said(tmp_path)
    assert "there is no such folder" in said(tmp_path / "nowhere")


@pytest.mark.parametrize("name", [*BUILT_IN, "../x", "a b", "", "A", "x" * 64])
def test_names_that_could_be_paths_or_the_starter_are_refused(name, folder_of):
    with pytest.raises(MaquetteError, match="can't be a model's name"):
        describe(name, folder_of("stable-diffusion"))


def test_the_gateway_sees_new_models_without_a_restart_and_survives_a_broken_list(folder, tmp_path):
    models = tmp_path / "models"
    names = PriorNames(models)
    assert names() == BUILT_IN
    register(models, describe("tiny", folder))
    assert names() == (*BUILT_IN, "tiny")
    (models / FILE).write_text("{")
    assert names() == (*BUILT_IN, "tiny")
    with pytest.raises(MaquetteError, match="register the models again"):
        prior_names(models)


def test_a_name_stands_for_something_else_once_its_files_or_scales_differ(folder, folder_of, tmp_path):
    register(tmp_path, describe("tiny", folder))
    register(tmp_path, describe("other", folder_of("stable-diffusion-2")))
    digest = prior_identity(tmp_path, "tiny").partition(":")[2]
    assert len(digest) == 16
    assert digest != prior_identity(tmp_path, "other").partition(":")[2]
    lora = next((folder / "vae").glob("*.safetensors"))  # any file of that kind has a hash
    scaled = [describe("tiny", folder, loras=((lora, scale),)).identity for scale in (0.5, 1.0)]
    assert len({*scaled, prior_identity(tmp_path, "tiny")}) == 3


def test_the_list_of_names_needs_neither_torch_nor_diffusers():
    script = (
        "import sys, maquette_backend.cli.models_command, maquette_backend.server.prior_list;"
        "assert not {'torch', 'diffusers', 'transformers', 'huggingface_hub'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_doctor_lists_models_and_what_is_wrong_with_them(folder, folder_of, tmp_path):
    register(tmp_path / "models", describe("good", folder_of("stable-diffusion")))
    register(tmp_path / "models", describe("bad", folder))
    (folder / "tokenizer" / "tokenizer.json").unlink()
    by_name = {finding.name: finding for finding in findings(tmp_path)}
    assert by_name["model good"].fine
    assert not by_name["model bad"].fine
    assert "tokenizer.json is missing" in by_name["model bad"].found
    assert "models remove bad" in by_name["model bad"].remedy
    assert not by_name["model bad"].needed


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("variant", "taken"),
    [
        (None, {"model_index.json", "unet/config.json", "unet/d.safetensors", "unet/d.safetensors.index.json"}),
        ("fp16", {"model_index.json", "unet/config.json", "unet/d.fp16.safetensors", "unet/d.safetensors.index.fp16.json"}),
    ],
)
def test_the_patterns_take_one_kind_of_weights_and_never_a_pickle(variant, taken, tmp_path):
    """As huggingface_hub itself filters names."""
    listed = ["README.md", "v1.ckpt", "v1.safetensors", "unet/d.bin", "unet/d.non_ema.safetensors", "unet/code.py"]
    listed += [*taken, "unet/d.safetensors", "unet/d.fp16.safetensors"]
    listed += ["unet/d.safetensors.index.json", "unet/d.safetensors.index.fp16.json"]
    found = set()

    def fetch(repository, revision, folder, take, leave):
        found.update(filter_repo_objects(listed, allow_patterns=take, ignore_patterns=leave))

    download(tmp_path, "sd", "someone/model", COMMIT, variant, fetch)
    assert found == taken


def test_a_hub_model_is_fetched_at_a_commit_and_its_files_go_when_it_is_removed(folder_of, tmp_path, capsys):
    asked = []

    def fetch(repository, revision, folder, take, leave):
        asked.append((repository, revision, leave))
        shutil.copytree(folder_of("stable-diffusion"), folder)

    models = tmp_path / "models"
    folder, source = download(models, "sd", "someone/model", COMMIT, None, fetch)
    assert asked == [("someone/model", COMMIT, ["*non_ema*", "*.fp16.*"])]
    register(models, describe("sd", folder, source))
    assert main(["models", "--home", str(tmp_path)]) == 0
    assert f"someone/model@{COMMIT}" in capsys.readouterr().out
    assert main(["models", "remove", "sd", "--home", str(tmp_path)]) == 0
    assert not folder.exists()


@pytest.mark.parametrize(("repository", "revision"), [("someone/model", "main"), ("../model/x", COMMIT), ("m", COMMIT)])
def test_a_branch_and_a_bad_id_are_refused_before_anything_is_fetched(repository, revision, tmp_path):
    with pytest.raises(MaquetteError) as caught:
        download(tmp_path, "sd", repository, revision, None, lambda *_: pytest.fail("fetched"))
    assert caught.value.code == ErrorCode.INVALID_RECIPE


def test_without_a_network_the_hub_is_unreachable_in_one_line(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(MaquetteError, match="could not be fetched") as caught:
        download(tmp_path, "sd", "someone/model", COMMIT, None)
    assert caught.value.code == ErrorCode.UNREACHABLE
    assert "local folder" in caught.value.remedy


def test_a_tiny_autoencoder_takes_the_vaes_place_under_a_name_of_its_own(folder, tmp_path, capsys):
    small = AutoencoderTiny(
        encoder_block_out_channels=(8, 8), decoder_block_out_channels=(8, 8), num_encoder_blocks=(1, 1), num_decoder_blocks=(1, 1)
    )
    small.save_pretrained(tmp_path / "tiny")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    home = ["--home", str(tmp_path / "home")]
    assert main(["models", "add", "quick", str(folder), "--vae", str(tmp_path / "tiny"), *home]) == 0
    prior = load_model(read_registry(tmp_path / "home" / "models")["quick"], Machine(torch.device("cpu"), torch.float32))
    images = 2 * torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3)) - 1
    with torch.no_grad():
        torch.testing.assert_close(prior.encode_image(images), small.encode(images).latents * small.config.scaling_factor)
    assert main(["models", "verify", *home]) == 0
    assert main(["models", "add", "quick", str(folder), "--vae", str(tmp_path / "tiny"), *home]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["models", "remove", "quick", *home]) == 0
    assert not list((tmp_path / "home" / "models" / "fetched").iterdir())
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    capsys.readouterr()
    assert main(["models", "add", "quick", str(folder), "--vae", str(folder / "unet"), *home]) == 1
    assert "it is a UNet2DConditionModel" in capsys.readouterr().err
    assert not list((tmp_path / "home" / "models" / "fetched").iterdir())
