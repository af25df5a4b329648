"""Makes the training data: ``python -m maquette_backend.priors.starter.training.data``.

Fetches the furniture package, renders every model from 36 sides in colour and normals, measures its colour,
words its captions, and keeps name, origin and licence of each model in ``index.json``.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import zipfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maquette_backend.priors.starter.text import TextEncoder, minilm_folder
from maquette_backend.priors.starter.training.captions import (
    CHANNEL_ORDERS,
    PHRASINGS,
    captions,
    color_word,
    reordered_color_words,
)
from maquette_backend.priors.starter.training.credits import write_credits
from maquette_backend.priors.starter.training.dataset import IMAGES_FILE, ModelRecord, save_tables
from maquette_backend.priors.starter.training.furniture_mesh import load_furniture
from maquette_backend.priors.starter.training.furniture_package import (
    FurnitureModel,
    furniture_models,
    obtain_furniture,
    package_record,
)
from maquette_backend.priors.starter.training.rendering import render
from maquette_backend.priors.starter.training.split import held_out_models

VIEWS = 36
SIZE = 64
DEFAULT_CACHE = Path(".cache/prior")
_ELEVATIONS_DEG = (0.0, 45.0)
_DISTANCES = (1.8, 2.1)
_LEAST_COVERED = 0.01
"""Share of the picture a model must cover on average; less is a ruler or a pane of glass."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderedModel:
    """All views of one model."""

    images: NDArray[np.uint8]  # [2,V,S,S,3]
    cameras: NDArray[np.float32]  # [V,3]
    color: str
    wooden: bool
    faces: int


def render_model(seed: int, model: FurnitureModel, folder: Path) -> RenderedModel | str:
    """All views of a model, or, in words, why it can't be used. ``seed`` places the cameras."""
    try:
        with zipfile.ZipFile(folder / f"{model.archive}.sh3f") as archive:
            mesh = load_furniture(archive, model)
    except (ValueError, KeyError) as error:
        return f"{model.path}: {error}"
    random = np.random.default_rng(seed)
    images = np.zeros((2, VIEWS, SIZE, SIZE, 3), np.uint8)
    cameras = np.zeros((VIEWS, 3), np.float32)
    samples: list[NDArray[np.float64]] = []
    for view in range(VIEWS):
        azimuth_deg = (view + random.random()) * 360 / VIEWS
        elevation_deg = random.uniform(*_ELEVATIONS_DEG)
        distance = random.uniform(*_DISTANCES)
        picture = render(mesh, azimuth_deg, elevation_deg, distance, SIZE)
        images[0, view], images[1, view] = picture.color, picture.normal
        cameras[view] = azimuth_deg, elevation_deg, distance
        samples.append(picture.albedo[::7])
    covered = (np.abs(images[1].astype(np.int16) - 128).max(-1) > 2).mean()
    if covered < _LEAST_COVERED:
        return f"{model.path}: covers only {covered:.2%} of the picture"
    color = color_word(np.concatenate(samples))
    return RenderedModel(images, cameras, color, mesh.wooden, len(mesh.triangles))


def make_data(cache: Path, processes: int) -> Path:
    """Renders everything into ``cache/views`` and returns that folder; a finished one is left as it is."""
    target = cache / "views"
    if target.exists():
        _log.info("%s is there already; delete it to render again", target)
        return target
    cache.mkdir(parents=True, exist_ok=True)
    folder = obtain_furniture(cache)
    _log.info("package %(file)s, sha256 %(sha256)s", package_record(cache))
    partial_target = cache / "views.partial"
    shutil.rmtree(partial_target, ignore_errors=True)
    partial_target.mkdir()
    _render_all(furniture_models(folder), folder, partial_target, processes)
    partial_target.rename(target)
    return target


def _render_all(models: list[FurnitureModel], folder: Path, target: Path, processes: int) -> None:
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = pool.map(partial(render_model, folder=folder), range(len(models)), models, chunksize=4)
        rendered = list(_usable(zip(models, jobs, strict=True)))
    shape = (2, len(rendered), VIEWS, SIZE, SIZE, 3)
    images = np.lib.format.open_memmap(target / IMAGES_FILE, "w+", np.uint8, shape)
    for row, (_, views) in enumerate(rendered):
        images[:, row] = views.images
    images.flush()
    records, wordings = zip(*(_describe(model, views) for model, views in rendered), strict=True)
    cameras = np.stack([views.cameras for _, views in rendered])
    save_tables(target, cameras, embed_captions(list(wordings)), records)
    write_credits(target / "CREDITS.md", records)
    _log.info("%d models, %d views", len(rendered), 2 * len(rendered) * VIEWS)


def _usable(
    pairs: Iterator[tuple[FurnitureModel, RenderedModel | str]],
) -> Iterator[tuple[FurnitureModel, RenderedModel]]:
    for number, (model, result) in enumerate(pairs, start=1):
        if isinstance(result, str):
            _log.warning("left out: %s", result)
        else:
            yield model, result
        if number % 50 == 0:
            _log.info("%d models rendered, the last: %s", number, model.name)


def _describe(model: FurnitureModel, views: RenderedModel) -> tuple[ModelRecord, list[list[str]]]:
    """Its index row, and the captions for each channel order."""
    words = reordered_color_words(views.images[0, ::4], views.color)
    # other channel orders turn wood into no wood
    wordings = [
        captions(model.name, model.category, word, views.wooden and order == 0) for order, word in enumerate(words)
    ]
    record = ModelRecord(
        archive=model.archive,
        path=model.path,
        name=model.name,
        category=model.category,
        creator=model.creator,
        licence=model.licence,
        holder=model.holder,
        color=views.color,
        wooden=views.wooden,
        faces=views.faces,
        held_out=(model.archive, model.path) in held_out_models(),
        captions=tuple(wordings[0]),
    )
    return record, wordings


def embed_captions(wordings: list[list[list[str]]]) -> Tensor:
    """Captions [M][6][5] → sentence vectors [M,6,5,384]."""
    flat = [caption for model in wordings for order in model for caption in order]
    unique = sorted(set(flat))
    vectors = TextEncoder(minilm_folder(), torch.device("cpu")).encode(unique)
    row = {caption: number for number, caption in enumerate(unique)}
    gathered = vectors[torch.tensor([row[caption] for caption in flat])]
    return gathered.view(len(wordings), len(CHANNEL_ORDERS), PHRASINGS, -1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where all data go (about 1 GB)")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _log.info("views in %s", make_data(arguments.cache, arguments.processes))


if __name__ == "__main__":
    main()
