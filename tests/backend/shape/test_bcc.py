"""BCC grids: counts in closed form, orientation, volume, conformity, and the narrow band."""

import pytest
import torch
from maquette_backend.shape import bcc


def volumes(grid: bcc.TetGrid) -> torch.Tensor:
    p = grid.vertices.double()[grid.tets]
    return torch.linalg.det(p[:, 1:] - p[:, :1]) / 6


def face_counts(tets: torch.Tensor) -> torch.Tensor:
    faces = torch.cat([tets[:, [1, 2, 3]], tets[:, [0, 2, 3]], tets[:, [0, 1, 3]], tets[:, [0, 1, 2]]])
    return torch.unique(faces.sort(dim=1).values, dim=0, return_counts=True)[1]


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_counts_follow_the_closed_form(cells: int) -> None:
    grid = bcc.grid(cells, -1.0, 1.0)
    assert len(grid.vertices) == (cells + 1) ** 3 + cells**3
    assert len(grid.tets) == 4 * 3 * cells**2 * (cells - 1) + 2 * 6 * cells**2


def test_the_128_class_grid_has_its_known_size() -> None:
    grid = bcc.grid(51)
    assert (len(grid.vertices), len(grid.tets)) == (273_259, 1_591_812)
    assert grid.vertices.dtype == torch.float32
    assert grid.tets.dtype == torch.int64


@pytest.mark.parametrize("cells", [1, 2, 5])
def test_fills_the_box_with_positive_tets_face_to_face(cells: int) -> None:
    grid = bcc.grid(cells, -0.5, 1.0)
    v = volumes(grid)
    assert v.min() > 0
    assert v.sum().item() == pytest.approx(1.5**3, rel=1e-6)
    counts = face_counts(grid.tets)
    assert counts.max() == 2  # no face in three tets, and …
    assert (counts == 1).sum() == 12 * cells**2  # … only the two triangles of each outer square are in one
    assert grid.vertices.amin(0).tolist() == [-0.5] * 3
    assert grid.vertices.amax(0).tolist() == [1.0] * 3


def test_interior_tets_are_all_alike() -> None:
    grid = bcc.grid(3, 0.0, 3.0)
    v = volumes(grid)
    assert set(v.mul(12).round().tolist()) == {1.0}  # spacing³ / 12 each, also those at the boundary


@pytest.mark.parametrize(("cells", "low", "high"), [(0, 0.0, 1.0), (3, 1.0, 1.0)])
def test_refuses_an_empty_grid(cells: int, low: float, high: float) -> None:
    with pytest.raises(ValueError, match="grid needs"):
        bcc.grid(cells, low, high)


def test_narrow_band_keeps_exactly_the_tets_that_touch_it() -> None:
    grid = bcc.grid(6, -1.0, 1.0)
    keep = (grid.vertices.norm(dim=1) - 0.6).abs() < 0.2
    band = bcc.narrow_band(grid, keep)
    kept = keep[grid.tets].any(1)
    assert torch.equal(band.vertices[band.tets], grid.vertices[grid.tets[kept]])
    assert torch.equal(torch.unique(band.tets), torch.arange(len(band.vertices)))


def ball_distance(points: torch.Tensor) -> torch.Tensor:
    return (points.norm(dim=1) - 0.55).abs()


def as_set(grid: bcc.TetGrid) -> set[tuple[int, ...]]:
    """Every tetrahedron as the sorted ids of its vertices' places, in 64ths of a cell."""
    place = ((grid.vertices.double() + 2) * 64 / grid.spacing).round().long()
    ids = (place[:, 0] * 1_000_000 + place[:, 1]) * 1_000_000 + place[:, 2]
    return {tuple(row) for row in ids[grid.tets].sort(dim=1).values.tolist()}


@pytest.mark.parametrize("cells", [1, 7, 20, 33])
@pytest.mark.parametrize("reach", [0.0, 0.11])
def test_a_grid_made_near_a_surface_is_the_band_of_the_whole_one(cells: int, reach: float) -> None:
    """Also where the surface meets the outside of the box."""
    whole = bcc.grid(cells, -0.6, 0.6)
    expected = bcc.narrow_band(whole, ball_distance(whole.vertices) <= reach)
    got = bcc.grid_near(cells, ball_distance, reach, -0.6, 0.6)
    assert as_set(got) == as_set(expected)
    assert len(got.tets) == len(expected.tets)
    assert torch.equal(torch.unique(got.tets), torch.arange(len(got.vertices)))
    assert len(got.tets) == 0 or volumes(got).min() > 0


def test_the_search_looks_at_no_more_than_grows_with_the_surface() -> None:
    """Eight times the cells in the volume, four times the points asked about."""
    asked: list[int] = []

    def counting(points: torch.Tensor) -> torch.Tensor:
        asked[-1] += len(points)
        return ball_distance(points)

    for cells in (64, 128, 256):
        asked.append(0)
        bcc.cubes_near(cells, counting, 1.24 / cells, -0.62, 0.62)
    assert asked[1] < 4.5 * asked[0]
    assert asked[2] < 4.5 * asked[1]
