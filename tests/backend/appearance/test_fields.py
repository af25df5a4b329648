"""The colour field is in range, grey at first, and can be symmetric."""

import torch
from maquette_backend.appearance.fields import ColorField


def test_starts_mid_grey_and_stays_in_range() -> None:
    field = ColorField()
    points = torch.rand(50, 3) - 0.5
    torch.testing.assert_close(field(points), torch.full((50, 3), 0.5))
    with torch.no_grad():
        for level in field.parameters():
            level.normal_(std=30)
    assert field(points).min() >= 0
    assert field(points).max() <= 1


def test_mirrored_field_is_symmetric() -> None:
    field = ColorField(resolutions=(3, 5), mirror_x=True)
    with torch.no_grad():
        for level in field.parameters():
            level.normal_()
    points = torch.rand(50, 3) - 0.5
    torch.testing.assert_close(field(points), field(points * torch.tensor([-1.0, 1, 1])))
