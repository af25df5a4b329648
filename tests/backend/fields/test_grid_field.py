"""Grid fields: interpolation against closed forms, axes, borders and gradients."""

import pytest
import torch
from maquette_backend.fields.grid_field import GridField


def linear_field(coefficients: torch.Tensor, half_extent: float = 0.62) -> GridField:
    """A one-level field whose samples are those of ``coefficients · p``."""
    field = GridField(1, (5,), half_extent)
    axis = torch.linspace(-half_extent, half_extent, 5)
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1)
    with torch.no_grad():
        field.levels[0].copy_((points @ coefficients)[None, None])
    return field


def test_starts_at_zero_with_the_right_shape() -> None:
    assert torch.equal(GridField(4)(torch.rand(7, 3)), torch.zeros(7, 4))


def test_reproduces_linear_functions_along_the_right_axes() -> None:
    coefficients = torch.tensor([0.3, -1.1, 2.0])
    points = torch.rand(200, 3) * 1.2 - 0.6
    torch.testing.assert_close(linear_field(coefficients)(points)[:, 0], points @ coefficients, atol=1e-5, rtol=0)


def test_border_value_goes_on_outside() -> None:
    coefficients = torch.tensor([1.0, 2.0, -1.0])
    points = torch.tensor([[2.0, 0.1, 0.0], [-5.0, 9.0, -0.2]])
    expected = points.clamp(-0.62, 0.62) @ coefficients
    torch.testing.assert_close(linear_field(coefficients)(points)[:, 0], expected, atol=1e-5, rtol=0)


def test_levels_add_up() -> None:
    field = GridField(2, (2, 4, 8))
    with torch.no_grad():
        for k, level in enumerate(field.levels):
            level.fill_(10.0**k)
    torch.testing.assert_close(field(torch.zeros(1, 3)), torch.tensor([[111.0, 111.0]]))


def test_gradients_match_finite_differences() -> None:
    field = GridField(2, (3, 4), mirror_x=True).double()
    with torch.no_grad():
        for level in field.levels:
            level.normal_(generator=torch.Generator().manual_seed(0))
    points = (torch.rand(6, 3, generator=torch.Generator().manual_seed(1)).double() - 0.5).requires_grad_()
    assert torch.autograd.gradcheck(field, (points,))


@pytest.mark.parametrize(("resolutions", "extent"), [((), 0.6), ((1, 4), 0.6), ((4,), 0.0)])
def test_refuses_impossible_grids(resolutions: tuple[int, ...], extent: float) -> None:
    with pytest.raises(ValueError, match="grid field needs"):
        GridField(1, resolutions, extent)
