"""kaolin's marching tetrahedra give our surface; run where kaolin is installed."""

import pytest
import torch
from maquette_backend.shape import bcc, kaolin_tets, marching_tets


def signed_volume(v: torch.Tensor, f: torch.Tensor) -> float:
    a, b, c = v[f].unbind(1)
    return float((a * torch.linalg.cross(b, c)).sum() / 6)


def test_kaolin_gives_the_same_surface() -> None:
    pytest.importorskip("kaolin.ops.conversions")
    grid = bcc.grid(8)
    sdf = grid.vertices.norm(dim=1) - 0.4
    cache = marching_tets.tet_edges(grid.tets)
    ours = marching_tets.extract(grid.vertices, sdf, grid.tets, cache)
    theirs = kaolin_tets.extract(grid.vertices, sdf, grid.tets, cache)
    torch.testing.assert_close(theirs[0], ours[0])
    assert theirs[1].shape == ours[1].shape
    assert signed_volume(*theirs) == pytest.approx(signed_volume(*ours), rel=1e-3)
    assert signed_volume(*theirs) > 0


def test_without_cuda_our_own_is_chosen() -> None:
    assert kaolin_tets.extractor(torch.device("cpu")) is marching_tets.extract
