"""Every way of distilling with diffusers models, those that add to the network among them."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CgLoraSettings
from maquette_backend.guidance.catalogue import method_names
from maquette_backend.guidance.guided import Distillation, Question
from maquette_backend.priors.denoiser import HasDenoiser
from maquette_backend.priors.prior import Views
from tiny_models import SIZE

OPEN = ("stable-diffusion", "stable-diffusion-2", "multi-view")
CLOSED = ("stable-diffusion-xl", "stable-diffusion-3")


def question(prior):
    generator = torch.Generator().manual_seed(11)
    encoded = prior.encode_image(torch.rand(4, 3, SIZE, SIZE, generator=generator))
    views = Views(torch.linspace(0, 4.7, 4), torch.full((4,), 0.2), torch.full((4,), 2.0), torch.full((4,), 0.6))
    text, negative = prior.encode_text(["a chair"] * 4).data, prior.encode_text([""] * 4).data
    noise = torch.randn(encoded.shape, generator=generator)
    time = torch.full((4,), 0.5)
    mask = torch.rand(4, 1, SIZE, SIZE, generator=generator).round()
    return Question(
        prior, encoded, text, negative, views, time, noise, "color", Distillation(scale=7.5), progress=0.9, mask=mask
    )


@pytest.mark.parametrize("family", [*OPEN, *CLOSED])
def test_every_way_that_a_family_allows_gives_a_pull(family, prior_of):
    prior = prior_of(family)
    asked = question(prior)
    for method in method_names():
        if method == "vsd" and family in CLOSED:
            with pytest.raises(ValueError, match="does not let guidance into its network"):
                build_distiller(method, prior)
            continue
        distiller = build_distiller(method, prior)
        guided = distiller.guide(asked)
        distiller.close()
        pull = guided.weight * (asked.encoded - guided.denoised)
        assert torch.isfinite(pull).all()
        assert pull.shape == asked.encoded.shape


@pytest.mark.parametrize("family", OPEN)
def test_camera_guided_additions_begin_as_nothing_and_leave_no_trace(family, prior_of):
    prior = prior_of(family)
    assert isinstance(prior, HasDenoiser)
    asked = question(prior)
    plain = build_distiller("sds", prior).guide(asked)
    processors = dict(prior.denoiser().attn_processors)
    distiller = build_distiller("sds", prior, "a chair", CgLoraSettings())
    torch.testing.assert_close(distiller.guide(asked).denoised, plain.denoised)
    distiller.close()
    assert all(prior.denoiser().attn_processors[name] is processors[name] for name in processors)
    torch.testing.assert_close(build_distiller("sds", prior).guide(asked).denoised, plain.denoised)


def test_the_object_s_token_is_the_end_mark(folder_of, prior_of):
    """CLIP's own: the first end mark among its tokens, as its encoder pools it."""
    prior = prior_of("stable-diffusion")
    tokenizer, limit = prior.parts.texts.encoders.readers[0].tokenizer, prior.parts.texts.encoders.readers[0].limit
    texts = ["a chair", "", "chair " * 30]
    ids = tokenizer(texts, padding="max_length", max_length=limit, truncation=True, return_tensors="pt").input_ids
    first = (ids == tokenizer.eos_token_id).int().argmax(1)
    weights = prior.object_tokens(prior.encode_text(texts).data)
    assert torch.equal(weights.argmax(1), first)
    assert torch.equal(weights.sum(1), torch.ones(3))
    with pytest.raises(KeyError):
        prior.object_tokens(torch.randn(1, limit, 12))
