"""Pictures straight from the starter prior, to look at what it knows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from maquette_backend.priors.prior import Modality, Views
from maquette_backend.priors.starter import diffusion
from maquette_backend.priors.starter.camera import TRAINED_FOV_DEG
from maquette_backend.priors.starter.starter_prior import StarterPrior, load_starter

PROMPTS = (
    "a brown wooden chair",
    "a red sofa",
    "a blue armchair",
    "a beige wooden table",
    "a green plant",
    "a white bed",
    "a black office chair",
    "a brown wooden bookcase",
)
AZIMUTHS_DEG = (0.0, 60.0, 150.0, 240.0)
_TIMES = (0.995, 0.01)


@torch.no_grad()
def sample(
    prior: StarterPrior,
    prompts: Sequence[str],
    views: Views,
    modality: Modality = "color",
    scale: float = 4.0,
    steps: int = 40,
    seed: int = 0,
) -> Tensor:
    """One picture [B,3,S,S] in −1..1 per prompt and view, by DDIM (Song et al. 2021) with classifier-free guidance."""
    size = prior.settings.sizes[0]
    text = prior.encode_text(list(prompts)).data
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(len(prompts), 3, size, size, generator=generator).to(text.device)
    times = torch.linspace(*_TIMES, steps + 1, device=text.device)
    clean = torch.zeros_like(noisy)
    for now, following in pairwise(times):
        time = now.expand(len(prompts))
        told = prior.predict_denoised(noisy, time, text, views, modality)
        untold = prior.predict_denoised(noisy, time, torch.zeros_like(text), None, modality)
        limit = diffusion.DATA_SCALE
        clean = (untold + scale * (told - untold)).clamp(-limit, limit)
        alpha, sigma = prior.alpha_sigma(now)
        noisy = diffusion.add_noise(clean, (noisy - alpha * clean) / sigma, following.expand(len(prompts)))
    return prior.decode_image(clean)


def orbit_views(azimuths_deg: Sequence[float], elevation_deg: float = 20.0, distance: float = 1.95) -> Views:
    """Views all at one height and distance, with the trained field of view."""
    count = len(azimuths_deg)
    return Views(
        azimuth=torch.deg2rad(torch.tensor(azimuths_deg)),
        elevation=torch.full((count,), math.radians(elevation_deg)),
        distance=torch.full((count,), distance),
        fov_y=torch.full((count,), math.radians(TRAINED_FOV_DEG)),
    )


def sample_sheet(weights: Path, path: Path) -> None:
    """A PNG of eight prompts, one a row, from four azimuths: colour on the left, normals on the right."""
    prior = load_starter(torch.device("cpu"), weights)
    prompts = [prompt for prompt in PROMPTS for _ in AZIMUTHS_DEG]
    views = orbit_views(list(AZIMUTHS_DEG) * len(PROMPTS))
    halves = [_grid(sample(prior, prompts, views, modality)) for modality in prior.settings.modalities]
    sheet = Image.fromarray(np.concatenate(halves, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST).save(path)


def _grid(pictures: Tensor) -> NDArray[np.uint8]:
    """[prompts·azimuths,3,S,S] in −1..1 → [prompts·S, azimuths·S, 3]."""
    values = ((pictures.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    rows = values.reshape(len(PROMPTS), len(AZIMUTHS_DEG), *values.shape[1:])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
