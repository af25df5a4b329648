"""A whole step of distillation from networks of Stable Diffusion's full size, random weights, over their own bare time.

On a GPU both sizes in half precision. Elsewhere Stable Diffusion 1's alone, one view: in float32 for the time, and for
the memory in bfloat16, which takes what float16 takes.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from time import perf_counter

import torch
from maquette_backend.ablate.command import build_bench
from maquette_backend.appearance.fields import ColorField
from maquette_backend.guidance.guided import Distillation, Question, distillation_loss
from maquette_backend.guidance.sds import Sds
from maquette_backend.priors.prior import Views
from maquette_backend.refine.keep_topology import OffsetBody, OffsetSettings
from maquette_backend.refine.randomness import generator_for
from maquette_backend.refine.viewpoints import cameras_for
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.shading import render_views
from torch import Tensor

from benchmarks.full_size_models import SD1, TOKENS, XL, Model, Size, build
from benchmarks.live_memory import peak_bytes
from benchmarks.rows import Row

_ROUNDS = 2
_RATIO_TARGET, _GIB_TARGET = 1.15, 6.0
_GIB = 2**30


def rows() -> list[Row]:
    """The rows of this part."""
    if not torch.cuda.is_available():
        place = torch.device("cpu")
        return [_time_row(SD1, 1, place, torch.float32), _memory_row(SD1, place, torch.bfloat16)]
    place, half = torch.device("cuda"), torch.float16
    rows = [_time_row(SD1, 4, place, half), _memory_row(SD1, place, half)]
    return [*rows, _time_row(XL, 1, place, half), _memory_row(XL, place, half)]


class Step:
    """A coarse armchair's, in colour, at the network's own size."""

    def __init__(self, model: Model, size: Size, views: int) -> None:
        """All of it on the prior's device, as in a job."""
        self._model, self._size, self._views = model, size, views
        device, bench = model.prior.settings.device, build_bench(steps=1, seed=0)
        self._sampler, self._rasterizer = bench.sampler, choose_rasterizer(device)
        self._body = OffsetBody(bench.subject.positions, bench.subject.triangles, OffsetSettings(bound=0.1), device)
        self._color = ColorField().to(device)
        self._optimiser = torch.optim.Adam([*self._color.parameters(), *self._body.parameters()], lr=0.01)
        self._text, self._negative = (model.prior.encode_text([words] * views).data for words in ("a chair", ""))
        self._generator = generator_for(0, "full size")

    def whole(self) -> None:
        """Pictures, latents, guidance, the gradient back to vertices and colours, and the optimiser's step."""
        prior, device = self._model.prior, self._model.prior.settings.device
        views = self._sampler.sample(self._views, self._generator).to(device)
        encoded = prior.encode_image(self._pictures(views))
        noise = torch.randn(encoded.shape, generator=self._generator).to(device)
        time = torch.rand(self._views, generator=self._generator).to(device)
        text, negative = self._text, self._negative
        asked = Question(
            prior, encoded.detach(), text, negative, views, time, noise, "color", Distillation(50.0)
        )
        loss = distillation_loss(encoded, Sds().guide(asked))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self._optimiser.step()

    def bare(self) -> None:
        """The networks alone on ready numbers: both halves of guidance, and the VAE's encoder with its gradient."""
        model, size, views = self._model, self._size, self._views
        device, dtype = model.prior.settings.device, model.dtype
        shown = torch.randn(2 * views, 4, size.pixels // 8, size.pixels // 8, device=device, dtype=dtype)
        text = torch.randn(2 * views, TOKENS, size.text_width, device=device, dtype=dtype)
        pooled = {"text_embeds": torch.randn(2 * views, size.pooled), "time_ids": torch.zeros(2 * views, 6)}
        added = {name: value.to(device, dtype) for name, value in pooled.items()} if size.pooled else None
        shown = shown.contiguous(memory_format=torch.channels_last)  # as the weights lie
        with torch.no_grad():
            model.network(shown, torch.full((2 * views,), 500, device=device), text, added_cond_kwargs=added)
        images = torch.rand(views, 3, size.pixels, size.pixels, device=device, dtype=dtype)
        images = images.contiguous(memory_format=torch.channels_last).requires_grad_()
        model.vae.encode(images).latent_dist.mode().sum().backward()

    def _pictures(self, views: Views) -> Tensor:
        surface = self._body.surface()
        seen = render_views(
            self._rasterizer,
            surface.positions,
            surface.triangles,
            self._color,
            cameras_for(views),
            self._size.pixels,
            topology=surface.topology,
        )
        return 2 * seen.color - 1


def _time_row(size: Size, views: int, device: torch.device, dtype: torch.dtype) -> Row:
    model = build(size, device, dtype)
    step = Step(model, size, views)
    step.whole()  # the first compiles
    rounds = [(_secs(step.bare, device), _secs(step.whole, device)) for _ in range(_ROUNDS)]
    bare, whole = (min(times) for times in zip(*rounds, strict=True))
    how = (
        f"{_said(size, model, views, device)}: networks alone {bare:.2f} s, whole step {whole:.2f} s (render, latents, guidance, gradient to"
        f" vertices and colours), turn about, the least of {_ROUNDS}; load {os.getloadavg()[0]:.1f}"
    )
    return _row(f"full_size.{size.name}_step_over_bare", whole / bare, "x", _RATIO_TARGET, size, how)


def _memory_row(size: Size, device: torch.device, dtype: torch.dtype) -> Row:
    _free()
    model = build(size, device, dtype)
    step = Step(model, size, 1)
    step.whole()  # the optimiser's own numbers are there from the second on
    gib = peak_bytes(step.whole, (model.network, model.vae), device) / _GIB
    counted = "as its allocator counts" if device.type == "cuda" else "every tensor alive at once, counted; libraries' workspace is not"
    how = f"{_said(size, model, 1, device)}, the most in a whole step, weights among it ({counted})"
    return _row(f"full_size.{size.name}_memory", gib, "GiB", _GIB_TARGET, size, how)


def _row(name: str, value: float, unit: str, target: float, size: Size, how: str) -> Row:
    """The targets are Stable Diffusion 1's."""
    if size is not SD1:
        return Row(name, value, unit, "for information", True, how)
    return Row(name, value, unit, f"<= {target:g}", value <= target, how)


def _said(size: Size, model: Model, views: int, device: torch.device) -> str:
    return (
        f"network of {model.parameters / 1e6:,.0f} million random weights in {str(model.dtype).removeprefix('torch.')} on"
        f" {device.type}, {views} view{'s' * (views > 1)} of {size.pixels}²"
    )


def _secs(run: Callable[[], None], device: torch.device) -> float:
    _wait(device)
    start = perf_counter()
    run()
    _wait(device)
    return perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
