"""What samples are asked for: twelve kinds, twelve colours, four sides, crossed."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from maquette_backend.priors.prior import Views
from maquette_backend.priors.starter.starter_prior import StarterPrior
from maquette_backend.priors.starter.training import sampling
from maquette_backend.priors.starter.training.evaluation.judges import KINDS, SIDES_DEG
from maquette_backend.priors.starter.training.names import with_article

COLORS = (
    "black", "white", "grey", "brown", "beige", "red",
    "orange", "yellow", "green", "blue", "purple", "pink",
)  # fmt: skip
NOUNS: dict[str, tuple[str, ...]] = {
    **{kind: (kind,) for kind in KINDS},
    "cabinet": ("cabinet", "wardrobe"),
    "lamp": ("floor lamp", "table lamp"),
    "sanitary": ("washbasin", "bathtub", "toilet"),
    "shelf": ("bookcase", "shelf"),
}
"""How each kind is called in prompts, in turn."""
_JITTER_DEG = 20.0
_ELEVATIONS_DEG = (5.0, 40.0)
_DISTANCES = (1.8, 2.1)
_FOV_Y_DEG = 40.0
"""Elevation, distance and field of view as refinement draws them."""


@dataclass(frozen=True)
class Asked:
    """One sample: its prompt, and what it must show."""

    prompt: str
    kind: int
    """Row of ``KINDS``."""
    color: str
    """Empty: any."""
    side: int
    """Row of ``SIDES_DEG``."""
    azimuth_deg: float
    elevation_deg: float
    distance: float


@dataclass(frozen=True)
class SampleEffort:
    """How many samples of each kind, and how they are drawn."""

    per_kind: int = 50
    steps: int = 40
    scale: float = 4.0
    """Classifier-free guidance, the sampler's standard."""
    seed: int = 21


def questions(effort: SampleEffort) -> list[Asked]:
    """Kind by kind: every colour from every side as far as ``per_kind`` reaches, the last ones without a colour."""
    asked = []
    for kind, name in enumerate(KINDS):
        for number in range(effort.per_kind):
            block, place = divmod(number, len(COLORS))
            color = COLORS[place] if block < len(SIDES_DEG) else ""
            noun = NOUNS[name][(block + place) % len(NOUNS[name])]
            side = (block + place + kind) % len(SIDES_DEG)
            random = np.random.default_rng((effort.seed, kind, number))
            asked.append(
                Asked(
                    prompt=with_article(f"{color} {noun}".strip(), noun),
                    kind=kind,
                    color=color,
                    side=side,
                    azimuth_deg=float((SIDES_DEG[side] + random.uniform(-_JITTER_DEG, _JITTER_DEG)) % 360),
                    elevation_deg=float(random.uniform(*_ELEVATIONS_DEG)),
                    distance=float(random.uniform(*_DISTANCES)),
                )
            )
    return asked


def views_of(asked: Sequence[Asked]) -> Views:
    """The cameras of samples."""
    return Views(
        torch.deg2rad(torch.tensor([one.azimuth_deg for one in asked])),
        torch.deg2rad(torch.tensor([one.elevation_deg for one in asked])),
        torch.tensor([one.distance for one in asked]),
        torch.full((len(asked),), math.radians(_FOV_Y_DEG)),
    )


def obtain_samples(prior: StarterPrior, asked: Sequence[Asked], effort: SampleEffort, cache: Path) -> Tensor:
    """Pictures [N,7,64,64] in −1..1, kept in ``cache``."""
    prompts = [one.prompt for one in asked]
    digest = hashlib.sha256(repr((prior.identity, list(asked), effort, torch.__version__)).encode())
    digest.update(prior.encode_text(prompts).data.numpy().tobytes())  # the words are no part of its identity
    digest.update(Path(sampling.__file__).read_bytes())
    path = cache / f"samples-{digest.hexdigest()[:16]}.safetensors"
    if path.exists():
        return load_file(path)["samples"]
    pictures = sampling.sample(prior, prompts, views_of(asked), effort.scale, effort.steps, effort.seed).clamp(-1, 1).contiguous()
    cache.mkdir(parents=True, exist_ok=True)
    save_file({"samples": pictures}, path)
    return pictures
