"""Every random number comes from a seed derived from what it is for, so runs repeat, resume and can be split."""

from __future__ import annotations

import hashlib

import torch


def generator_for(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator that depends only on ``seed`` and ``purpose``, e.g. ``(seed, subject_id, "geometry", step)``."""
    text = "/".join(str(part) for part in (seed, *purpose))
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little", signed=False) >> 1)
