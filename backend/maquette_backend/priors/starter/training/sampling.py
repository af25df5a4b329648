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

from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter import picture
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
    "a yellow floor lamp",
    "a white cabinet",
)
AZIMUTHS_DEG = (0.0, 90.0, 180.0, 300.0)
_TIMES = (0.999, 0.002)
_BATCH = 40


@torch.no_grad()
def sample(
    prior: StarterPrior, prompts: Sequence[str], views: Views, scale: float = 4.0, steps: int = 40, seed: int = 0
) -> Tensor:
    """One picture [B,7,64,64] in −1..1 per prompt and view, by DDIM (Song et al. 2021) with classifier-free guidance."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(prompts), picture.CHANNELS, picture.SIZE, picture.SIZE)
    noise = torch.randn(shape, generator=generator)
    parts = [
        _sample_batch(prior, prompts[rows], _part(views, rows), noise[rows].to(prior.settings.device), scale, steps)
        for rows in (slice(start, start + _BATCH) for start in range(0, len(prompts), _BATCH))
    ]
    return torch.cat(parts).cpu()


def _sample_batch(
    prior: StarterPrior, prompts: Sequence[str], views: Views, noisy: Tensor, scale: float, steps: int
) -> Tensor:
    count = len(prompts)
    text = prior.encode_text(prompts).data
    empty = prior.encode_text([""] * count).data
    clean = torch.zeros_like(noisy)
    for now, following in pairwise(torch.linspace(*_TIMES, steps + 1, device=noisy.device)):
        time = now.expand(count)
        told = prior.predict_denoised(noisy, time, text, views, "joint")
        untold = prior.predict_denoised(noisy, time, empty, None, "joint")
        limit = prior.encode_image(torch.ones_like(noisy))
        clean = torch.clamp(untold + scale * (told - untold), -limit, limit)
        alpha, sigma = prior.alpha_sigma(now)
        noise = (noisy - alpha * clean) / sigma
        noisy = prior.add_noise(clean, noise, following.expand(count), "joint")
    return prior.decode_image(clean)


def orbit_views(azimuths_deg: Sequence[float], elevation_deg: float = 20.0, frame: float = 1.4) -> Views:
    """Views all at one height, ``frame`` high at the subject, with a field of view of 40°."""
    count, fov_y = len(azimuths_deg), math.radians(40.0)
    return Views(
        azimuth=torch.deg2rad(torch.tensor(azimuths_deg)),
        elevation=torch.full((count,), math.radians(elevation_deg)),
        distance=torch.full((count,), frame / (2 * math.tan(fov_y / 2))),
        fov_y=torch.full((count,), fov_y),
    )


def sample_sheet(folder: Path, path: Path, together: bool = False) -> None:
    """A PNG of ten prompts, one a row, from four sides: colour, normals and coverage from left to right.

    ``together``: the four sides of a row are drawn as views of one subject.
    """
    prior = load_starter(torch.device("cpu"), folder, together)
    prompts = [prompt for prompt in PROMPTS for _ in AZIMUTHS_DEG]
    pictures = sample(prior, prompts, orbit_views(list(AZIMUTHS_DEG) * len(PROMPTS)))
    coverage = pictures[:, picture.COVERAGE].expand(-1, 3, -1, -1)
    thirds = [_grid(part) for part in (pictures[:, picture.COLOR], pictures[:, picture.NORMAL], coverage)]
    sheet = Image.fromarray(np.concatenate(thirds, axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize((2 * sheet.width, 2 * sheet.height), Image.Resampling.NEAREST).save(path)


def _part(views: Views, rows: slice) -> Views:
    return Views(views.azimuth[rows], views.elevation[rows], views.distance[rows], views.fov_y[rows])


def _grid(pictures: Tensor) -> NDArray[np.uint8]:
    """[prompts·azimuths,3,S,S] in −1..1 → [prompts·S, azimuths·S, 3]."""
    values = ((pictures.clamp(-1, 1) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    rows = values.reshape(len(PROMPTS), len(AZIMUTHS_DEG), *values.shape[1:])
    return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])
