"""A registered model through ``torch.compile``: asked for by its owner, the same pictures, and a way out where it fails."""

from __future__ import annotations

import json

import pytest
import torch
from maquette_backend.cli.main import main
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CgLoraSettings
from maquette_backend.priors.diffusers.compiled import CompiledNetwork
from maquette_backend.priors.diffusers.loading import Machine, load_model
from maquette_backend.priors.notices import Notices
from maquette_backend.priors.prior import Views
from maquette_backend.priors.registry import FILE, describe, read_registry
from maquette_protocol.errors import MaquetteError
from test_diffusers_guidance import question

CPU = Machine(torch.device("cpu"), torch.float32)


def asked(prior, samples=2):
    generator = torch.Generator().manual_seed(3)
    noisy = torch.randn(samples, prior.parts.denoiser.network.config.in_channels, 8, 8, generator=generator)
    views = Views(*(torch.full((samples,), value) for value in (0.0, 0.3, 2.0, 0.7)))
    with torch.no_grad():
        return prior.predict_noise(noisy, torch.full((samples,), 0.5), prior.encode_text(["a chair"] * samples).data, views, "color")


@pytest.mark.parametrize("family", ["stable-diffusion", "stable-diffusion-3"])
def test_a_compiled_model_gives_what_the_plain_one_gives(family, folder_of, prior_of):
    prior = load_model(describe("quick", folder_of(family), compiler="aot_eager"), CPU)
    said = []
    with prior.notices.heard_by(said.append):
        for samples in (2, 4, 2):
            torch.testing.assert_close(asked(prior, samples), asked(prior_of(family), samples), atol=1e-5, rtol=1e-4)
    assert said == []
    assert prior.parts.denoiser._call._compiled is not None, "it was compiled"


@pytest.mark.parametrize("failing", ["at once", "when it runs"])
def test_where_it_does_not_work_the_network_runs_without_and_it_is_said_once(failing, monkeypatch, folder_of, prior_of):
    calls = []

    def compile(network, backend):
        calls.append(backend)
        if failing == "at once":
            raise RuntimeError("no C++ compiler was found\nand much more")

        def run(*args, **kwargs):
            raise ValueError("no C++ compiler was found")

        return run

    monkeypatch.setattr(torch, "compile", compile)
    prior = load_model(describe("quick", folder_of("stable-diffusion"), compiler="inductor"), CPU)
    said = []
    with prior.notices.heard_by(said.append):
        for _ in range(2):
            assert torch.equal(asked(prior), asked(prior_of("stable-diffusion")))
    text = "torch.compile does not work here for the network of quick, which runs without: no C++ compiler was found"
    assert (said, calls) == ([text], ["inductor"])


def test_out_of_memory_is_no_failure_of_the_compiler(monkeypatch):
    def exhausted(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(torch, "compile", lambda network, backend: exhausted)
    network = CompiledNetwork(torch.nn.Linear(1, 1), "inductor", "quick", Notices())
    with pytest.raises(torch.OutOfMemoryError):
        network(torch.ones(1))
    assert network._works


@pytest.mark.parametrize(("method", "adapters"), [("sds", CgLoraSettings(every=1)), ("vsd", None)])
def test_adapters_are_heard_in_a_compiled_model_as_in_a_plain_one(method, adapters, folder_of):
    """Its compiled form is there before they are put in, and is used again once they are out."""
    found = []
    for compiler in ("", "eager"):
        prior = load_model(describe("quick", folder_of("stable-diffusion"), compiler=compiler), CPU)
        before = asked(prior)
        distiller = build_distiller(method, prior, "a chair", adapters)
        for _ in range(3):
            guided = distiller.guide(question(prior))
        found.append(guided.denoised)
        during = asked(prior)
        distiller.close()
        torch.testing.assert_close(asked(prior), before)
        assert torch.isfinite(during).all()
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-4)


def test_the_owner_asks_for_it_and_a_list_that_names_another_compiler_is_refused(folder_of, tmp_path, capsys):
    home = ["--home", str(tmp_path)]
    folder = str(folder_of("stable-diffusion"))
    assert main(["models", "add", "quick", folder, "--compile", "inductor", *home]) == 0
    assert main(["models", "add", "plain", folder, *home]) == 0
    assert main(["models", *home]) == 0
    listed = capsys.readouterr().out
    assert listed.count("compiled by inductor") == 1
    known = read_registry(tmp_path / "models")
    assert known["quick"].compiler == "inductor"
    assert known["quick"].identity.partition(":")[2] != known["plain"].identity.partition(":")[2]
    path = tmp_path / "models" / FILE
    content = json.loads(path.read_text())
    content["models"]["quick"]["compiler"] = "gcc"
    path.write_text(json.dumps(content))
    with pytest.raises(MaquetteError, match="compiled by gcc"):
        read_registry(tmp_path / "models")
    del content["models"]["quick"]["compiler"]  # as a list from before has it
    path.write_text(json.dumps(content))
    assert read_registry(tmp_path / "models")["quick"].compiler == ""
