"""Visibility by nvdiffrast on CUDA, if the artist has installed it (NVIDIA's research licence; not shipped)."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import Tensor


def is_available() -> bool:
    """True where nvdiffrast is installed and CUDA works; does not import it."""
    return importlib.util.find_spec("nvdiffrast") is not None and torch.cuda.is_available()


class NvdiffrastVisibility:
    """A ``rasterizer.Visibility``. Keeps one CUDA rasterising context a device, which are costly to make.

    Only visibility is taken from nvdiffrast: its antialias loses the silhouettes of pixel-sized triangles (see
    ``antialias``), and barycentrics are recomputed so that all rasterisers have the same gradient.
    """

    def __init__(self) -> None:
        self._contexts: dict[torch.device, Any] = {}

    def __call__(self, pos: Tensor, tri: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        import nvdiffrast.torch as dr  # pyright: ignore[reportMissingImports]

        if pos.device not in self._contexts:
            self._contexts[pos.device] = dr.RasterizeCudaContext(device=pos.device)
        context = self._contexts[pos.device]
        rast, _ = dr.rasterize(context, pos.detach().float().contiguous(), tri.int().contiguous(), size, grad_db=False)
        return rast[..., 3].to(torch.int32), rast[..., 2]
