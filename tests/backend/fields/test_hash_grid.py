"""The hash grid against the paper's formulas written out, closed forms and numerical gradients."""

import itertools

import pytest
import torch
from maquette_backend.fields.hash_grid import HashGrid, HashGridSettings
from torch import Tensor

SMALL = HashGridSettings(levels=4, features=2, log2_table=8, coarsest=3, finest=24)


def points(count: int, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1.2 - 0.6


def written_out(grid: HashGrid, point: list[float]) -> list[float]:
    """Equations 1 to 4 of the paper for one point, in plain Python."""
    features, start = [], 0
    for cells in grid.settings.resolutions:
        entries = min((cells + 1) ** 3, 1 << grid.settings.log2_table)
        where = [(x / grid.half_extent * 0.5 + 0.5) * cells for x in point]
        low = [min(int(x), cells - 1) for x in where]
        total = [0.0] * grid.settings.features
        for corner in range(8):
            at = [low[axis] + (corner >> axis & 1) for axis in range(3)]
            weight = 1.0
            for axis in range(3):
                along = where[axis] - low[axis]
                weight *= along if corner >> axis & 1 else 1 - along
            if (cells + 1) ** 3 <= entries:
                row = at[0] + (cells + 1) * (at[1] + (cells + 1) * at[2])
            else:
                row = (at[0] ^ at[1] * 2654435761 ^ at[2] * 805459861) % entries
            total = [t + weight * float(f) for t, f in zip(total, grid.table.detach()[start + row], strict=True)]
        features += total
        start += entries
    return features


def test_it_is_the_papers_encoding() -> None:
    grid = HashGrid(SMALL).double()
    torch.nn.init.normal_(grid.table)
    assert 0 < grid.dense_levels < SMALL.levels
    places = points(40)
    expected = torch.tensor([written_out(grid, place) for place in places.tolist()], dtype=torch.float64)
    torch.testing.assert_close(grid(places), expected, atol=2e-6, rtol=1e-5)


def test_gradients_in_tables_and_points_are_the_numerical_ones() -> None:
    grid = HashGrid(HashGridSettings(levels=2, features=2, log2_table=5, coarsest=2, finest=4)).double()
    torch.nn.init.normal_(grid.table)
    places = points(6).requires_grad_()

    def with_table(table: Tensor, where: Tensor) -> Tensor:
        return torch.func.functional_call(grid, {"table": table}, (where,))

    assert torch.autograd.gradcheck(with_table, (grid.table.detach().clone().requires_grad_(), places))


def test_a_linear_function_is_exact_where_every_corner_has_an_entry() -> None:
    grid = HashGrid(HashGridSettings(levels=1, features=1, log2_table=10, coarsest=5, finest=5)).double()
    z, y, x = torch.meshgrid(*[torch.linspace(-0.62, 0.62, 6, dtype=torch.float64)] * 3, indexing="ij")
    with torch.no_grad():
        grid.table.copy_((2 * x - 3 * y + 0.5 * z).reshape(-1, 1))
    places = points(200)
    torch.testing.assert_close(grid(places)[:, 0], places @ torch.tensor([2, -3, 0.5], dtype=torch.float64), atol=1e-6, rtol=0)


def test_beyond_the_cube_the_border_goes_on_and_mirroring_is_exact() -> None:
    grid = HashGrid(SMALL, mirror_x=True)
    torch.nn.init.normal_(grid.table)
    places = points(100).float()
    torch.testing.assert_close(grid(places), grid(places * torch.tensor([-1.0, 1, 1])))
    far = torch.tensor([[0.1, 0.2, 5.0]])
    torch.testing.assert_close(grid(far), grid(torch.tensor([[0.1, 0.2, 0.62]])))


@pytest.mark.parametrize("wrong", [{"levels": 0}, {"features": 0}, {"log2_table": 30}, {"coarsest": 9, "finest": 3}])
def test_settings_that_cannot_be_built_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot be built"):
        HashGridSettings(**wrong)


def test_resolutions_grow_geometrically() -> None:
    sides = HashGridSettings(levels=16, coarsest=16, finest=4096).resolutions
    assert sides[0] == 16
    assert sides[-1] == 4096
    assert all(1.40 < b / a < 1.50 for a, b in itertools.pairwise(sides))
