"""NVIDIA kaolin's marching tetrahedra behind the signature of ``marching_tets.extract``.

kaolin (github.com/NVIDIAGameWorks/kaolin, ``kaolin.ops.conversions``) calls inside positive, and on
positively oriented tetrahedra winds its triangles to face inside. Both are converted here, once.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import torch
from torch import Tensor

from . import marching_tets
from .marching_tets import TetEdges

Extract = Callable[[Tensor, Tensor, Tensor, TetEdges], tuple[Tensor, Tensor]]
"""(vertices [V,3], sdf [V], tets [T,4], cache) → positions [N,3], faces int64 [F,3]."""


def is_installed() -> bool:
    """Whether kaolin can be imported; kaolin itself is not loaded by this."""
    return importlib.util.find_spec("kaolin") is not None


def extractor(device: torch.device) -> Extract:
    """kaolin's implementation where there is CUDA and kaolin, else our own."""
    return extract if device.type == "cuda" and is_installed() else marching_tets.extract


def extract(vertices: Tensor, sdf: Tensor, tets: Tensor, cache: TetEdges) -> tuple[Tensor, Tensor]:
    """As ``marching_tets.extract``; the same surface, its triangles in another order. ``cache`` is not needed."""
    del cache
    conversions = importlib.import_module("kaolin.ops.conversions")
    positions, faces = conversions.marching_tetrahedra(vertices[None], tets, -sdf[None])
    return positions[0], faces[0].flip(1)
