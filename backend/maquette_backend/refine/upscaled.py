"""Finished maps made larger, as a subject asks for it, and by what it was done."""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
import torch
from maquette_protocol import limits
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Subject
from numpy.typing import NDArray

from maquette_backend.appearance.upscale import Network, real_esrgan, upscale_color, upscale_data
from maquette_backend.refine.events import Wish
from maquette_backend.refine.images import Maps
from maquette_backend.refine.stage_loop import Cancelled

_LOG = logging.getLogger(__name__)
_SAID = {
    "real_esrgan": "by Real-ESRGAN, which adds likely detail",
    "lanczos": "by Lanczos, sharp and without new detail: Real-ESRGAN is not installed",
}


def upscaled(maps: Maps, subject: Subject, wish: Callable[[], Wish]) -> tuple[Maps, str]:
    """``maps`` ``Subject.upscale`` times as large, and what enlarged the base colour: "", ``real_esrgan``, ``lanczos``.

    What is kept around islands grows with them. ``wish`` is asked before each piece that a network sees.
    Raises MaquetteError INVALID_RECIPE beyond ``MAX_TEXTURE_SIZE``; Cancelled.
    """
    times, side = subject.upscale, max(maps.base_color.shape[:2])
    if times == 1:
        return maps, ""
    if times * side > limits.MAX_TEXTURE_SIZE:
        raise MaquetteError(
            ErrorCode.INVALID_RECIPE,
            f"The texture of “{subject.name}”, {side} pixels upscaled {times} times, is above {limits.MAX_TEXTURE_SIZE}.",
            "Choose a smaller texture, or upscale it less.",
        )
    network = real_esrgan(threads=torch.get_num_threads())
    by = "lanczos" if network is None else "real_esrgan"
    _LOG.info("the texture of “%s” is upscaled %d times %s", subject.name, times, _SAID[by])
    larger = Maps(
        upscale_color(maps.base_color, times, None if network is None else _heeding(network, wish)),
        None if maps.roughness is None else upscale_data(maps.roughness, times),
        None if maps.metallic is None else upscale_data(maps.metallic, times),
        None if maps.normal is None else upscale_data(maps.normal, times, normals=True),
    )
    return larger, by


def _heeding(network: Network, wish: Callable[[], Wish]) -> Network:
    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        if wish() == "cancel":
            raise Cancelled
        return network(pixels)

    return run
