"""Where text encoders are held, and in which type: freed, off the GPU, wider where they overflow."""

from __future__ import annotations

import gc
import shutil
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from maquette_backend.priors.diffusers.encoders import Encoder, Encoders
from maquette_backend.priors.diffusers.loading import Machine, _Loader, load_model
from maquette_backend.priors.diffusers.memory import EVERYTHING, MemoryPlan
from maquette_backend.priors.diffusers.texts import Texts
from maquette_backend.priors.model_folder import inspect_folder
from maquette_backend.priors.notices import Notices
from maquette_backend.priors.registry import describe
from maquette_protocol.errors import MaquetteError
from safetensors.torch import load_file, save_file

CPU = Machine(torch.device("cpu"), torch.float32)


def test_encoders_are_freed_after_new_prompts_where_asked(folder_of):
    """By weak references: what was loaded is gone, the prompts are remembered, and new ones load anew."""
    loader = load_model(describe("sd", folder_of("stable-diffusion")), CPU).parts.texts.encoders
    loaded = []

    def load(machine):
        encoders = loader._load(machine)
        loaded.append(weakref.ref(encoders[0].network))
        return encoders

    texts = Texts(Encoders(load, CPU, keep=False), "last", torch.device("cpu"))
    first = texts.encode(["a chair", "a table"])
    gc.collect()
    assert [one() for one in loaded] == [None, None]
    assert torch.equal(texts.encode(["a table"])[0], first[1])
    assert len(loaded) == 2
    texts.encode(["a lamp"])
    assert len(loaded) == 3
    keeping = Texts(Encoders(load, CPU, keep=True), "last", torch.device("cpu"))
    torch.testing.assert_close(keeping.encode(["a chair", "a table"]), first)
    assert loaded[-1]() is not None


@pytest.mark.parametrize("family", ["stable-diffusion-xl", "stable-diffusion-3"])
def test_prompts_are_encoded_on_the_processor_in_bfloat16_where_the_gpu_has_no_room(family, folder_of, prior_of):
    loader = _Loader(describe("m", folder_of(family)), inspect_folder(folder_of(family)), CPU)
    texts = loader._texts(MemoryPlan("processor", 8, slice_vae=True, checkpoint_vae=True))
    found, expected = texts.encode(["a chair"]), prior_of(family).encode_text(["a chair"]).data
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, atol=0.05, rtol=0.05)
    assert not torch.equal(found, expected)


def test_text_encoders_for_which_there_is_no_room_visit_and_then_run_on_the_processor():
    """``meta`` stands for a GPU with room for nothing; what is on the way is freed before the next try."""
    listened, tried, alive = [], [], []
    gpu = Machine(torch.device("meta"), torch.float16)

    def load(machine):
        network = torch.nn.Linear(1, 1, dtype=machine.dtype)
        network.config = SimpleNamespace(projection_dim=3)
        return [Encoder(None, network, 7)]

    def run(encoders, device):
        alive.append(sum(one() is not None for one in tried))
        tried.append(weakref.ref(encoders[0].network))
        if device.type != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return encoders[0].network.weight.float() * 0 + len(tried)

    notices = Notices()
    encoders = Encoders(load, gpu, name="mine", notices=notices)
    with notices.heard_by(listened.append):
        assert float(encoders(run)) == 3
        assert float(encoders(run)) == 4
    assert listened == [
        "Out of memory: the text encoders of mine are loaded for new prompts only now.",
        "Out of memory: the text encoders of mine run on the processor now, slowly.",
    ]
    assert alive == [0, 0, 0, 0]
    assert not encoders.can_give_way
    with pytest.raises(torch.OutOfMemoryError):
        encoders(lambda encoders, device: run(encoders, gpu.device))


@pytest.mark.parametrize("keep", [True, False])
def test_text_encoders_that_overflow_in_half_precision_give_what_they_give_in_float32(keep, folder_of, tmp_path, caplog):
    """As above; the last layer norm takes the scale away. Loaded for each prompt, they start in the wider type."""
    model = describe("loud", loud_text_encoder(folder_of, tmp_path, 300.0))
    found, listened = [], []
    for dtype in (torch.float16, torch.float32):
        loader = _Loader(model, inspect_folder(model.folder), Machine(torch.device("cpu"), dtype))
        plan = replace(EVERYTHING, text="stays" if keep else "visits")
        texts = loader._texts(plan)
        with loader.notices.heard_by(listened.append):
            found.append(torch.cat([texts.encode([text]) for text in ("a chair", "a table", "")]))
    torch.testing.assert_close(found[0], found[1], atol=1e-3, rtol=1e-3)
    assert listened == ["The text encoders of loud overflow in float16; they run in float32 now."]
    assert caplog.text.count("overflow in float16") == 1, "once, and from then on wider"


def test_text_encoders_that_are_never_finite_end_the_job_after_one_wider_try(folder_of, tmp_path):
    model = describe("broken", loud_text_encoder(folder_of, tmp_path, torch.nan))
    prior = load_model(model, Machine(torch.device("cpu"), torch.float16))
    with pytest.raises(MaquetteError, match="text encoders of broken give numbers that are not finite in float32") as caught:
        prior.encode_text(["a chair"])
    assert "models verify" in caught.value.remedy


def loud_text_encoder(folder_of, tmp_path, factor):
    """A copy of Stable Diffusion's folder in which each half of an encoder's layer is ``factor`` times as loud."""
    folder = Path(shutil.copytree(folder_of("stable-diffusion"), tmp_path / "model"))
    path = folder / "text_encoder" / "model.safetensors"
    weights = {name: value.half().float() for name, value in load_file(path).items()}
    for name in [name for name in weights if ".mlp.fc" in name and name.endswith("weight")]:
        weights[name] = (weights[name] * 100 * factor).half().float()
    save_file(weights, path, metadata={"format": "pt"})
    return folder
