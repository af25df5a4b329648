"""Makes the training data: ``python -m maquette_backend.priors.starter.training.data``.

Fetches the furniture package, renders every model from 56 sides in colour, normals and coverage, measures what the
captions say of it, and keeps name, origin, licence and captions of each model in ``index.json``. With ``--words``
it only words what is rendered already, in seconds.
"""

from __future__ import annotations

import argparse
import logging
import multiprocessing
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maquette_backend.priors.starter.training.credits import write_credits
from maquette_backend.priors.starter.training.dataset import (
    CHANNELS,
    IMAGES_FILE,
    STRETCH_EVERY,
    Rendered,
    load_rendered,
    save_index,
    save_rendered,
)
from maquette_backend.priors.starter.training.describing import describe
from maquette_backend.priors.starter.training.furniture_mesh import FurnitureMesh, load_furniture, stretched
from maquette_backend.priors.starter.training.furniture_package import (
    FurnitureModel,
    furniture_models,
    obtain_furniture,
    package_record,
)
from maquette_backend.priors.starter.training.measuring import Measures, measure, palette
from maquette_backend.priors.starter.training.rendering import render
from maquette_backend.priors.starter.training.viewpoints import draw_viewpoint

VIEWS = 56
SIZE = 64
DEFAULT_CACHE = Path(".cache/prior")
_STRETCH = 0.22
"""A stretched mesh is scaled along each axis by exp(U(−.22, .22)), .80 to 1.25."""
_LEAST_COVERED = 0.01
"""Share of the picture a model must cover on average; less is a ruler or a pane of glass."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RenderedModel:
    """All views of one model, and what is measured on those that show it as it was made."""

    images: NDArray[np.uint8]  # [V,7,S,S]
    cameras: NDArray[np.float32]  # [V,4]
    stretches: NDArray[np.float32]  # [V,3]
    palette: NDArray[np.uint8]  # [P,3]
    measures: Measures


def render_model(model: FurnitureModel, folder: Path) -> RenderedModel | str:
    """All views of a model, or, in words, why it can't be used. The model's path alone seeds its cameras."""
    try:
        with zipfile.ZipFile(folder / f"{model.archive}.sh3f") as archive:
            mesh = load_furniture(archive, model)
    except (ValueError, KeyError) as error:
        return f"{model.path}: {error}"
    views = render_views(mesh, zlib.crc32(f"{model.archive}/{model.path}".encode()), VIEWS, SIZE)
    if isinstance(views, str):
        return f"{model.path}: {views}"
    return views


def render_views(mesh: FurnitureMesh, seed: int, views: int, size: int) -> RenderedModel | str:
    """All views of a mesh; every second one stretched. Returns why not if it hardly shows."""
    random = np.random.default_rng(seed)
    images = np.zeros((views, CHANNELS, size, size), np.uint8)
    cameras = np.zeros((views, 4), np.float32)
    stretches = np.ones((views, 3), np.float32)
    samples: list[NDArray[np.float64]] = []
    materials: list[NDArray[np.int32]] = []
    for view in range(views):
        shape = mesh
        as_made = view % STRETCH_EVERY == 0
        if not as_made:
            stretches[view] = np.exp(random.uniform(-_STRETCH, _STRETCH, 3))
            shape = stretched(mesh, stretches[view].astype(np.float64))
        viewpoint = draw_viewpoint(random, view, views, np.ptp(shape.positions, axis=0))
        picture = render(shape, viewpoint, size)
        images[view], cameras[view] = picture.channels(), viewpoint.row()
        if as_made:
            samples.append(picture.albedo[::3])
            materials.append(picture.material[::3])
    covered = float(images[::STRETCH_EVERY, 6].mean() / 255)
    if covered < _LEAST_COVERED:
        return f"covers only {covered:.2%} of the picture"
    colors = np.concatenate(samples)
    measures = measure(mesh, colors, np.concatenate(materials), covered)
    return RenderedModel(images, cameras, stretches, palette(colors, random), measures)


def make_data(cache: Path, processes: int, words_only: bool) -> Path:
    """Renders everything into ``cache/views`` and returns that folder; finished pictures are left as they are."""
    target = cache / "views"
    cache.mkdir(parents=True, exist_ok=True)
    folder = obtain_furniture(cache)
    models = furniture_models(folder)
    if words_only or target.exists():
        _log.info("%s is there already and only worded again; delete it to render again", target)
        _word(models, target)
        return target
    _log.info("package %(file)s, sha256 %(sha256)s", package_record(cache))
    partial_target = cache / "views.partial"
    shutil.rmtree(partial_target, ignore_errors=True)
    partial_target.mkdir()
    _render_all(models, folder, partial_target, processes)
    _word(models, partial_target)
    partial_target.rename(target)
    return target


def _render_all(models: list[FurnitureModel], folder: Path, target: Path, processes: int) -> None:
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = pool.map(partial(render_model, folder=folder), models, chunksize=4)
        kept = list(_usable(zip(models, jobs, strict=True)))
    shape = (len(kept), VIEWS, CHANNELS, SIZE, SIZE)
    images = np.lib.format.open_memmap(target / IMAGES_FILE, "w+", np.uint8, shape)
    for row, (_, views) in enumerate(kept):
        images[row] = views.images
    images.flush()
    rendered = Rendered(
        stretches=np.stack([views.stretches for _, views in kept]),
        palettes=np.stack([views.palette for _, views in kept]),
        measures=tuple(views.measures for _, views in kept),
        paths=tuple((model.archive, model.path) for model, _ in kept),
    )
    save_rendered(target, np.stack([views.cameras for _, views in kept]), rendered)
    _log.info("%d models, %d views", len(kept), len(kept) * VIEWS)


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


def _word(models: list[FurnitureModel], folder: Path) -> None:
    """Writes index.json and the credits of what is rendered in ``folder``."""
    rendered = load_rendered(folder)
    known = {(model.archive, model.path): model for model in models}
    rows = zip(rendered.paths, rendered.measures, rendered.palettes, strict=True)
    records = [describe(known[path], measures, colors) for path, measures, colors in rows]
    save_index(folder, records)
    write_credits(folder / "CREDITS.md", records)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where all data go (about 1.5 GB)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--words", action="store_true", help="only word what is rendered already")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    _log.info("views in %s", make_data(arguments.cache, arguments.processes, arguments.words))


if __name__ == "__main__":
    main()
