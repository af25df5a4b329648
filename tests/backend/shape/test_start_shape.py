"""Keep Topology's regularisers as one: zero for the start and its rotations' folds, sharp edges on their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from maquette_backend.shape.start_shape import StartShape, StartWeights
from torch import Tensor

NOTHING = StartWeights(anchor=0, laplacian=0, strain=0, fold=0, sharp=0)
NONE = np.zeros((0, 2), np.int32)
BOX = torch.tensor(
    [0, 2, 3, 0, 3, 1, 4, 5, 7, 4, 7, 6, 0, 1, 5, 0, 5, 4, 2, 6, 7, 2, 7, 3, 0, 4, 6, 0, 6, 2, 1, 3, 7, 1, 7, 5]
).reshape(-1, 3)
CORNERS = torch.tensor([[k & 1, k >> 1 & 1, k >> 2] for k in range(8)], dtype=torch.float64) - 0.5


def change(weights: StartWeights, moved: Tensor, sharp: object = NONE, split: bool = False) -> float:
    """Of a box of side 1; with ``split`` every triangle has vertices of its own."""
    start, triangles = (CORNERS[BOX].reshape(-1, 3), torch.arange(36).reshape(-1, 3)) if split else (CORNERS, BOX)
    offset = moved[BOX].reshape(-1, 3) if split else moved
    shape = StartShape(start, triangles, np.asarray(sharp, np.int32).reshape(-1, 2))
    return shape.change(start + offset, offset, weights).item()


def wedge() -> Tensor:
    """The top pushed along x: a sheared box, whose edges along y change their angles and those along z do not."""
    return torch.where(CORNERS[:, 2:] > 0, torch.tensor([0.4, 0.0, 0.0]), torch.tensor([0.0, 0.0, 0.0])).double()


def test_the_start_costs_nothing() -> None:
    assert change(StartWeights(), torch.zeros_like(CORNERS), [[0, 1], [4, 5]]) == 0


@pytest.mark.parametrize("split", [False, True])
def test_each_weight_has_its_closed_form(split: bool) -> None:
    grown = 0.1 * CORNERS  # every offset is √(3/4)/10 long, every edge is a tenth longer
    assert change(replace(NOTHING, anchor=2.0), grown, split=split) == pytest.approx(2 * 0.75 / 100)
    assert change(replace(NOTHING, strain=3.0), grown, split=split) == pytest.approx(3 / 100)
    assert change(replace(NOTHING, fold=1.0), grown, split=split) == pytest.approx(0, abs=1e-12)
    assert change(replace(NOTHING, fold=1.0), wedge(), split=split) > 1e-3


@pytest.mark.parametrize("split", [False, True])
def test_marked_edges_are_judged_apart_either_way_round(split: bool) -> None:
    """Shearing folds the box's four edges along y, each by the angle of the shear, and no other."""
    along_y = np.array([[0, 2], [3, 1], [4, 6], [7, 5]])
    along_z = np.array([[0, 4], [1, 5]])
    turned = (1 - np.cos(np.arctan(0.4))) / 2
    split_to = np.array([BOX.reshape(-1).tolist().index(corner) for corner in range(8)])
    marks = {"y": split_to[along_y] if split else along_y, "z": split_to[along_z] if split else along_z}
    assert change(replace(NOTHING, sharp=1.0), wedge(), marks["y"], split) == pytest.approx(turned)
    assert change(replace(NOTHING, sharp=1.0), wedge(), marks["z"], split) == pytest.approx(0, abs=1e-12)
    # what is marked is no part of the rest: of 18 edges 4 change
    assert change(replace(NOTHING, fold=1.0), wedge(), NONE, split) == pytest.approx(turned * 4 / 18)
    assert change(replace(NOTHING, fold=1.0), wedge(), marks["y"], split) == pytest.approx(0, abs=1e-12)


def test_marks_that_are_no_edges_of_the_mesh_count_for_nothing() -> None:
    assert change(replace(NOTHING, sharp=1.0), wedge(), [[0, 7]]) == 0


def test_gradients_match_finite_differences() -> None:
    shape = StartShape(CORNERS, BOX, np.array([[0, 2]], np.int32))
    moved = (0.1 * torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda offset: shape.change(CORNERS + offset, offset, StartWeights()), (moved,))


def test_degenerate_faces_and_doubled_vertices_cost_nothing_at_the_start() -> None:
    """Zero area, one vertex twice, two faces at the same three vertices."""
    start = torch.cat([CORNERS, CORNERS[:2], CORNERS[:1] + torch.tensor([[0.5, 0.0, 0.0]])])
    triangles = torch.cat([BOX, torch.tensor([[0, 1, 10], [3, 3, 1], [0, 2, 3], [8, 9, 4], [8, 0, 5]])])
    moved = torch.zeros_like(start).requires_grad_()
    total = StartShape(start, triangles, NONE).change(start + moved, moved, StartWeights())
    total.backward()
    assert total.item() == 0
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
