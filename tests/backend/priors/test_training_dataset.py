"""What rendering writes, words are made from and training reads: whole, in step, and true to type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from maquette_backend.priors.starter.training.data import RenderedModel, render_views
from maquette_backend.priors.starter.training.dataset import (
    IMAGES_FILE,
    Rendered,
    load_rendered,
    load_views,
    sampling_weights,
    save_index,
    save_rendered,
    to_tensor,
)
from small_views import record, small_views
from test_training_rendering import box


def write(folder: Path) -> Rendered:
    """Two boxes with four views each."""
    views = [render_views(box(), seed, 4, 16) for seed in range(2)]
    kept = [view for view in views if isinstance(view, RenderedModel)]
    rendered = Rendered(
        stretches=np.stack([view.stretches for view in kept]),
        palettes=np.stack([view.palette for view in kept]),
        measures=tuple(view.measures for view in kept),
        paths=(("Scopia", "a.obj"), ("Scopia", "b.obj")),
    )
    np.save(folder / IMAGES_FILE, np.stack([view.images for view in kept]))
    save_rendered(folder, np.stack([view.cameras for view in kept]), rendered)
    save_index(folder, small_views(2).models)
    return rendered


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path)
    read = load_rendered(tmp_path)
    assert read.measures == written.measures
    assert read.paths == written.paths
    assert np.array_equal(read.stretches, written.stretches)
    assert np.array_equal(read.palettes, written.palettes)
    views = load_views(tmp_path)
    assert views.images.shape == (2, 4, 7, 16, 16)
    assert views.cameras.shape == (2, 4, 4)
    assert views.models == small_views(2).models


def test_parts_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="prior-data"):
        load_views(tmp_path)
    write(tmp_path)
    save_index(tmp_path, [replace(small_views(1).models[0], name=str(number)) for number in range(3)])
    with pytest.raises(ValueError, match="belong together"):
        load_views(tmp_path)
    save_index(tmp_path, small_views(2).models)
    np.save(tmp_path / IMAGES_FILE, np.zeros((2, 2, 4, 16, 16, 3), np.uint8))
    with pytest.raises(ValueError, match="belong together"):
        load_views(tmp_path)


def test_bytes_become_minus_one_to_one() -> None:
    tensor = to_tensor(np.array([0, 128, 255], np.uint8).reshape(1, 3, 1, 1))
    assert tensor.flatten().tolist() == pytest.approx([-1, 1 / 255, 1], abs=1e-6)
    assert tensor.shape == (1, 3, 1, 1)


def test_rare_kinds_are_drawn_more_often_each_but_less_in_all() -> None:
    chairs = [replace(record(f"chair {number}"), kind="chair") for number in range(36)]
    shelves = [replace(record(f"shelf {number}"), kind="shelf") for number in range(4)]
    door = replace(record("door", category="Doors and windows"), kind="door")
    weights = sampling_weights([*chairs, *shelves, door, record("anything")])
    assert weights[36] == pytest.approx(3 * weights[0])
    assert weights[:36].sum() == pytest.approx(3 * weights[36:40].sum())
    assert weights[40] < weights[41] < weights[0]
