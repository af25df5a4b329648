"""How far a surface is past its limit: plates with a thickness, hidden faces, and triangles that bridge a dent."""

from __future__ import annotations

import numpy as np
import pytest
from maquette_backend.shape.reach import BETWEEN, Reach, between, within
from maquette_backend.shape.sdf import Tree
from numpy.typing import NDArray

LIMIT = 0.02
SQUARE = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
TWO = np.array([[0, 1, 2], [0, 2, 3]])
NONE = Tree(SQUARE, TWO[:0])


def even(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.full(len(points), LIMIT)


def reach(everything: Tree, sheets: Tree = NONE, half_sheet: float = 0.0) -> Reach:
    return Reach(everything, sheets, half_sheet, NONE, even, is_even=True)


def valley(side: float) -> Tree:
    """Two faces that meet in a line along y, one in two steep."""
    rows = np.array([[x, y, abs(x) / 2] for x in (-side, 0, side) for y in (-1.0, 1.0)])
    return Tree(rows, np.array([[0, 2, 3], [0, 3, 1], [2, 4, 5], [2, 5, 3]]))


@pytest.mark.parametrize(("height", "away"), [(0.05, 0.04), (-0.05, 0.04), (0.031, 0.021), (0.004, 0.004)])
def test_a_plate_is_as_thick_as_a_sheet(height: float, away: float) -> None:
    plate = Tree(SQUARE, TWO)
    points = np.array([[0.1, 0.2, height]])
    held = reach(plate, plate, 0.01)
    too_far, back = held.excess(points)
    assert too_far == pytest.approx(away - LIMIT)
    assert back[0] == pytest.approx([0, 0, -np.sign(height)], abs=1e-9)
    assert held.excess(held.clamped(points))[0] <= 1e-12


def test_near_any_face_is_near_enough() -> None:
    two = Tree(np.concatenate([SQUARE, SQUARE + np.array([0, 0, 0.3])]), np.concatenate([TWO, TWO + 4]))
    too_far, back = reach(two).excess(np.array([[0.0, 0.0, 0.25]]))
    assert too_far == pytest.approx(0.05 - LIMIT)
    assert back[0] == pytest.approx([0, 0, 1])


@pytest.mark.parametrize("side", [0.03, 0.1, 0.5])
def test_what_bridges_a_valley_is_found_and_taken_back(side: float) -> None:
    """Corners on the slopes, its middle above the ground. They may sink into it by the limit and no farther."""
    held = reach(valley(1.0))
    corners = np.array([[-side, 0.0, side / 2], [side, 0.0, side / 2], [0.0, side, 0.0]])
    bridge = np.array([[0, 1, 2]])
    rng = np.random.default_rng(5)
    dense = rng.dirichlet([1.0, 1.0, 1.0], 50_000) @ corners
    worst = max(float(held.excess(dense)[0].max()), 0.0)
    assert between(corners, bridge, held)[1].max(initial=0.0) == pytest.approx(worst, abs=2e-3)
    placed = within(corners, bridge, held)
    assert held.excess(placed)[0].max() <= 1e-9
    after = held.excess(rng.dirichlet([1.0, 1.0, 1.0], 50_000) @ placed)[0].max()
    assert after <= max(worst - LIMIT / 2, BETWEEN + 2e-3)
