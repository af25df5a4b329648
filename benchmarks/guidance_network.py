"""X-Dreamer's two ideas in a network of Stable Diffusion's architecture, an eighth as wide: what they add to guidance."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CgLoraSettings
from maquette_backend.guidance.guided import Distillation, Question
from maquette_backend.priors.cores import half_of_the_cores
from maquette_backend.priors.diffusers.adaptable_prior import AdaptablePrior
from maquette_backend.priors.diffusers.advice import advice
from maquette_backend.priors.diffusers.denoisers import UnetDenoiser
from maquette_backend.priors.diffusers.diffusers_prior import Parts
from maquette_backend.priors.diffusers.precision import Careful
from maquette_backend.priors.diffusers.schedules import discrete_schedule
from maquette_backend.priors.diffusers.texts import Layout
from maquette_backend.priors.families import STABLE_DIFFUSION
from maquette_backend.priors.prior import Views

from benchmarks.rows import Row

ROOT = Path(__file__).resolve().parents[1]
WIDTHS = (40, 80, 160, 160)
"""An eighth of Stable Diffusion 1's; blocks, layers, text width and 77 tokens are its own."""
WIDER = (80, 160, 320, 320)
"""For memory: adapters grow with the widths, a network with their square, so that a narrow one shows theirs too large."""
LATENTS, TEXT_WIDTH, TOKENS, VIEWS = 32, 768, 77, 4
LARGER = 64
"""For memory: of pictures of 512², Stable Diffusion 1's own."""
_GIVEN_BACK = {"MALLOC_MMAP_THRESHOLD_": "131072"}
"""Freed tensors go back to the system at once, as another tensor can have them on a GPU. By itself glibc keeps them, and
by the order in which they were freed the process is tens of MiB larger or smaller."""
_ROUNDS, _STEPS = 3, 8
_WAYS = {"plain": None, "cg-lora": CgLoraSettings(alignment_weight=0.0), "ama": CgLoraSettings()}
"""The second never learns: with any weight its first step would."""
_LORA_TARGET, _ALIGNMENT_TARGET, _MEMORY_TARGET = 10.0, 15.0, 15.0


class _Words:
    """Random rows for each text; its end is the sixth token."""

    layout = Layout()

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        rows = [torch.randn(TOKENS, TEXT_WIDTH, generator=torch.Generator().manual_seed(len(text))) for text in texts]
        return torch.stack(rows)

    def ends(self, rows: torch.Tensor) -> torch.Tensor:
        return torch.full((len(rows),), 5)

    def chars_read(self, text: str) -> int:
        return len(text)


def rows() -> list[Row]:
    """The rows of this part."""
    prior = small_prior()
    settings = CgLoraSettings()
    ways = tuple(_WAYS.values())
    # turn about, so that what else the machine does meets all alike; the least is what it met least
    rounds = [[_measured(prior, way) for way in ways] for _ in range(_ROUNDS)]
    plain, adapted, aligned = (np.array(costs).min(0).mean() for costs in zip(*rounds, strict=True))
    mib = {name: _peak_of(name) for name in _WAYS}
    how = (
        f"guidance alone (no rendering, no VAE, which would only make the shares smaller), {_STEPS} steps, of each the least of {_ROUNDS}"
        f" rounds, {VIEWS} views of {LATENTS}² latents in both halves, UNet of Stable Diffusion 1's blocks, widths {WIDTHS}, CPU time: plain"
        f" {plain:.0f}, with CG-LoRA {adapted:.0f}, with alignment of one view at every {settings.every}th step"
        f" {aligned:.0f} ms a step; load {os.getloadavg()[0]:.1f}"
    )
    memory = (
        f"weights and what lives at the peak, {VIEWS} views of {LARGER}² latents, widths {WIDER}, each in a process of its own that gives freed"
        f" memory back, less what it held before: {mib['plain']:.0f} MiB plain,"
        f" {mib['cg-lora']:.0f} with CG-LoRA, {mib['ama']:.0f} with alignment, too"
    )
    return [
        _row("guidance.network_cg_lora_overhead", adapted, plain, _LORA_TARGET, how),
        _row("guidance.network_ama_overhead", aligned, adapted, _ALIGNMENT_TARGET, how),
        _row("guidance.network_ama_memory_overhead", mib["ama"], mib["cg-lora"], _MEMORY_TARGET, memory),
    ]


def small_prior(widths: tuple[int, ...] = WIDTHS) -> AdaptablePrior:
    """Random weights behind the adapter that registered models have; without a VAE."""
    torch.manual_seed(0)
    network = UNet2DConditionModel(
        sample_size=LATENTS, block_out_channels=widths, cross_attention_dim=TEXT_WIDTH, attention_head_dim=8, norm_num_groups=8
    )
    network.eval().requires_grad_(False)
    careful = Careful(network, torch.float32, torch.device("cpu"), "network")
    denoiser = UnetDenoiser(network, Layout(), careful, 8 * LATENTS)
    schedule = discrete_schedule({"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"})
    words = _Words()
    parts = Parts(schedule, words, None, denoiser)  # type: ignore[arg-type]
    return AdaptablePrior(parts, advice(STABLE_DIFFUSION, 8 * LATENTS), "small", denoiser, words)  # type: ignore[arg-type]


def question(prior: AdaptablePrior, seed: int, side: int = LATENTS) -> Question:
    """A step's, of random latents and a round mask."""
    generator = torch.Generator().manual_seed(seed)
    encoded, noise = (torch.randn(VIEWS, 4, side, side, generator=generator) for _ in range(2))
    views = Views(torch.linspace(0, 5, VIEWS), torch.full((VIEWS,), 0.3), torch.full((VIEWS,), 2.0), torch.full((VIEWS,), 0.7))
    text, negative = (prior.encode_text([words] * VIEWS).data for words in ("a chair", ""))
    axis = torch.linspace(-1, 1, 8 * side)
    mask = (axis[:, None] ** 2 + axis**2 < 0.5).float().expand(VIEWS, 1, -1, -1)
    time = torch.rand(VIEWS, generator=generator)
    return Question(prior, encoded, text, negative, views, time, noise, "color", Distillation(7.5), 0.5, mask)


def _measured(prior: AdaptablePrior, settings: CgLoraSettings | None) -> np.ndarray:
    """CPU time of each step, ms."""
    distiller = build_distiller("sds", prior, "a chair", settings)
    try:
        times = [process_time()]
        for seed in range(_STEPS):
            distiller.guide(question(prior, seed))
            times.append(process_time())
        return 1000 * np.diff(np.array(times))
    finally:
        distiller.close()


def _peak_of(name: str) -> float:
    """MiB, in a process of its own."""
    command = [sys.executable, "-m", __name__, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=os.environ | _GIVEN_BACK)
    return float(done.stdout)


def _own_peak(name: str) -> float:
    """MiB at the peak of two steps, the model's weights among it, over what the process held before."""
    torch.set_num_threads(half_of_the_cores())
    _warm()
    before = _mib("VmRSS")
    prior = small_prior(WIDER)
    distiller = build_distiller("sds", prior, "a chair", _WAYS[name])
    for seed in range(2):  # alignment's turn is the first
        distiller.guide(question(prior, seed, LARGER))
    return _mib("VmHWM") - before


def _warm() -> None:
    """Everything that torch imports when it first learns: 50 MiB of modules that are no one's activations."""
    one = torch.nn.Linear(1, 1)
    optimiser = torch.optim.Adam(one.parameters())
    one(torch.ones(1, 1)).sum().backward()
    optimiser.step()


def _mib(field: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def _row(name: str, value: float, base: float, target: float, how: str) -> Row:
    percent = float(100 * (value / base - 1))
    return Row(name, percent, "%", f"<= {target:g}", percent <= target, how)


if __name__ == "__main__":
    print(_own_peak(sys.argv[1]))
