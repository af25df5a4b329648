"""On a GPU, in half precision, each family says about what it says on a processor."""

from __future__ import annotations

import pytest
import torch
from maquette_backend.priors.diffusers.loading import Machine, load_model
from maquette_backend.priors.prior import Views
from maquette_backend.priors.registry import describe
from tiny_models import FAMILIES, SIZE

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_on_cuda_is_near_float32_on_the_processor(family, folder_of, prior_of):
    generator = torch.Generator().manual_seed(13)
    images, time = torch.rand(4, 3, SIZE, SIZE, generator=generator), torch.full((4,), 0.5)
    views = Views(torch.linspace(0, 4.7, 4), torch.zeros(4), torch.full((4,), 2.0), torch.full((4,), 0.7))
    found = []
    for device in ("cpu", "cuda"):
        place = torch.device(device)
        prior = prior_of(family) if device == "cpu" else load_model(describe("m", folder_of(family)), Machine.of(place))
        given = images.to(place).requires_grad_()
        encoded = prior.encode_image(given)
        (encoded**2).sum().backward()
        text, negative = (prior.encode_text([word] * 4).data for word in ("a chair", ""))
        both = prior.predict_told_and_untold(
            encoded.detach(), time.to(place), text, negative, views.to(place), "color"
        )
        assert prior.settings.device.type == device
        found.append([one.detach().cpu() for one in (encoded, given.grad, *both)])
    for on_cpu, on_gpu in zip(*found, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, atol=0.03 * float(on_cpu.abs().max()), rtol=0.05)
