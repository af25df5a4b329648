"""Picks the fastest rasteriser that this machine has."""

from __future__ import annotations

import importlib.util

import torch

from maquette_backend.render.rasterizer import EdgeRasterizer, Rasterizer


def choose_rasterizer(device: torch.device | str) -> Rasterizer:
    """nvdiffrast on CUDA where it is installed (installing it is the opt-in: its licence is for research), numba on a
    CPU, plain torch everywhere else. All share one antialias, so their gradients agree."""
    if torch.device(device).type == "cuda":
        from maquette_backend.render import nvdiffrast_adapter

        if nvdiffrast_adapter.is_available():
            return EdgeRasterizer(nvdiffrast_adapter.NvdiffrastVisibility())
    elif importlib.util.find_spec("numba") is not None and torch.device(device).type == "cpu":
        from maquette_backend.render import visibility_numba

        return EdgeRasterizer(visibility_numba.visible)
    from maquette_backend.render import visibility_torch

    return EdgeRasterizer(visibility_torch.visible)
