"""The demo's sheets: every render stands unchanged where its caption says, and no label covers a piece."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


pictures = _load("demo_pictures")
SIZE = (640, 360)
EDGES = st.tuples(*[st.floats(0.0, 1.0)] * 4)


def noise(seed: int, width: int = 60, height: int = 40) -> Image.Image:
    """A picture that is like no other."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def pasted(sheet: Image.Image, column: int, row: int, width: int = 60, height: int = 40) -> np.ndarray:
    """What stands in a tile, without its caption."""
    left, top = column * width, row * (height + pictures.CAPTION) + pictures.CAPTION
    return np.asarray(sheet.crop((left, top, left + width, top + height)))


def test_before_stands_left_of_after() -> None:
    before, after = noise(1), noise(2)
    sheet = pictures.before_after(before, after, "a chair")
    assert sheet.size == (120, 40 + pictures.CAPTION)
    assert np.array_equal(pasted(sheet, 0, 0), before)
    assert np.array_equal(pasted(sheet, 1, 0), after)


def test_one_mesh_stands_left_of_what_each_prompt_made_of_it() -> None:
    renders = [noise(seed) for seed in range(3)]
    sheet = pictures.same_mesh(renders[0], {"brown": renders[1], "blue": renders[2]})
    assert all(np.array_equal(pasted(sheet, column, 0), renders[column]) for column in range(3))


def test_captions_with_other_words_differ() -> None:
    shown = [np.asarray(pictures.captioned(noise(1, 300), words)) for words in ("a brown chair", "a blue chair")]
    assert not np.array_equal(shown[0][: pictures.CAPTION], shown[1][: pictures.CAPTION])
    assert np.array_equal(shown[0][pictures.CAPTION :], shown[1][pictures.CAPTION :])


def test_the_room_is_changed_by_labels_alone() -> None:
    before, after = noise(1, *SIZE), noise(2, *SIZE)
    areas = {"Chair": pictures.Area(0.4, 0.3, 0.6, 0.6)}
    sheet = pictures.room_before_after(before, after, {"Chair": "a chair"}, areas)
    assert np.array_equal(pasted(sheet, 0, 0, *SIZE), before)
    rows, columns = np.nonzero((pasted(sheet, 0, 1, *SIZE) != np.asarray(after)).any(2))
    assert len(rows) > 100
    assert rows.min() > 0.6 * SIZE[1]  # below the piece
    assert abs((columns.min() + columns.max()) / 2 - 0.5 * SIZE[0]) < 3


@given(st.lists(EDGES, min_size=1, max_size=6), st.floats(10, 200), st.floats(10, 60))
def test_labels_stay_beside_their_pieces_and_off_others(
    edges: list[tuple[float, float, float, float]], width: float, height: float
) -> None:
    """Where a label may lie neither below nor above, it lies below; else it meets nothing and is wholly seen."""
    areas = {
        str(index): pictures.Area(
            min(x0, x1) * SIZE[0], min(y0, y1) * SIZE[1], max(x0, x1) * SIZE[0], max(y0, y1) * SIZE[1]
        )
        for index, (x0, y0, x1, y1) in enumerate(edges)
    }
    placed = pictures.label_areas(areas, {name: (width, height) for name in areas}, SIZE)
    for name, label in placed.items():
        assert not label.meets(areas[name])
        assert label.right - label.left == pytest.approx(width)
        assert label.left >= pictures.GAP - 1e-6
        assert label.right <= SIZE[0] - pictures.GAP + 1e-6
        if label.top < areas[name].top:
            assert label.inside(SIZE)
            assert not any(label.meets(area) for other, area in areas.items() if other != name)


@given(st.lists(st.text("abc", min_size=1, max_size=30), max_size=12), st.integers(4, 30))
def test_a_balanced_label_keeps_its_words_and_its_lines(words: list[str], width: int) -> None:
    """As few lines as filling them takes, and the longest as short as that allows."""
    text = " ".join(words)
    lines = pictures.balanced(text, width).splitlines()
    filled = textwrap.wrap(text, width)
    assert "".join(lines).replace(" ", "") == "".join(words)
    assert len(lines) == len(filled)
    assert max(map(len, lines), default=0) <= max(map(len, filled), default=0)


def test_a_balanced_label_has_no_orphan() -> None:
    assert pictures.balanced("a yellow lamp with a shade", 22) == "a yellow lamp\nwith a shade"


def test_a_label_with_another_piece_below_goes_above() -> None:
    areas = {"Behind": pictures.Area(300, 100, 340, 160), "Before": pictures.Area(280, 162, 360, 300)}
    placed = pictures.label_areas(areas, {"Behind": (90.0, 20.0), "Before": (90.0, 20.0)}, SIZE)
    assert placed["Behind"].bottom < 100
    assert placed["Before"].top > 300


def test_the_strip_holds_each_pieces_last_preview(tmp_path: Path) -> None:
    """Pieces with fewer previews wait at their last."""
    colors = {"a": [(255, 0, 0), (0, 255, 0), (0, 0, 255)], "b": [(255, 255, 0)]}
    frames = {name: [tmp_path / f"{name}_{number}.png" for number in range(len(of))] for name, of in colors.items()}
    for name, of in colors.items():
        for path, color in zip(frames[name], of, strict=True):
            Image.new("RGB", (32, 32), color).save(path)
    pictures.save_strip(list(frames.values()), tmp_path / "strip.gif")
    strip = Image.open(tmp_path / "strip.gif")
    assert getattr(strip, "n_frames", 1) == 3
    for number, color in enumerate(colors["a"]):
        strip.seek(number)
        shown = strip.convert("RGB")
        assert shown.size == (64, 32)
        assert shown.getpixel((16, 16)) == color
        assert shown.getpixel((48, 16)) == (255, 255, 0)


def test_no_preview_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="No preview"):
        pictures.save_strip([[], []], tmp_path / "strip.gif")
