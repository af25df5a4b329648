"""sRGB against values of the standard, the inverse, and gradients."""

import pytest
import torch
from maquette_backend.appearance.color_space import linear_from_srgb, srgb_from_linear


@pytest.mark.parametrize(
    ("srgb", "linear"),
    [(0.0, 0.0), (1.0, 1.0), (0.04045, 0.04045 / 12.92), (0.5, 0.21404114), (0.735356983, 0.5), (0.1, 0.010022826)],
)
def test_known_values(srgb: float, linear: float) -> None:
    s, v = torch.tensor(srgb, dtype=torch.float64), torch.tensor(linear, dtype=torch.float64)
    assert linear_from_srgb(s).item() == pytest.approx(linear, abs=1e-7)
    assert srgb_from_linear(v).item() == pytest.approx(srgb, abs=1e-7)


def test_every_byte_survives_the_round_trip() -> None:
    bytes_ = torch.arange(256)
    again = (srgb_from_linear(linear_from_srgb(bytes_ / 255)) * 255).round().long()
    assert torch.equal(again, bytes_)


@pytest.mark.parametrize("function", [srgb_from_linear, linear_from_srgb])
def test_gradients_are_finite_and_right(function) -> None:
    x = torch.tensor([0.0, 0.001, 0.0031, 0.05, 0.5, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function, x)
