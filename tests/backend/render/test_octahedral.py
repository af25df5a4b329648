"""The octahedral square: inverse maps, areas against counting, and no step over its folds."""

import math

import torch
from maquette_backend.render import octahedral
from torch import Tensor
from torch.nn.functional import normalize


def directions(count: int, seed: int = 0) -> Tensor:
    return normalize(torch.randn(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def test_square_and_sphere_are_inverse() -> None:
    there = directions(5000)
    torch.testing.assert_close(octahedral.direction_from_square(octahedral.square_from_direction(there)), there)
    assert octahedral.square_from_direction(there).abs().max() <= 1


def test_solid_angles_are_the_share_of_random_directions() -> None:
    size, count = 8, 400_000
    texels = ((octahedral.square_from_direction(directions(count)) + 1) / 2 * size).long().clamp(max=size - 1)
    hits = torch.bincount(texels[:, 1] * size + texels[:, 0], minlength=size * size).reshape(size, size)
    expected = octahedral.solid_angles(size).double() / (4 * math.pi) * count
    assert ((hits - expected).abs() < 5 * expected.sqrt() + 0.01 * expected).all()
    assert abs(float(octahedral.solid_angles(64).double().sum()) - 4 * math.pi) < 1e-4


def test_a_smooth_function_is_looked_up_smoothly_everywhere_folds_included() -> None:
    size = 64
    there = octahedral.direction_from_square(octahedral.texel_places(size).double())
    linear = octahedral.padded(there.permute(2, 0, 1).contiguous())
    fold = normalize(torch.tensor([[1e-4, 1, 0], [-1e-4, 1, -0.5], [1, 0, -2], [1, 1e-5, -2], [0, 0, -1]]).double(), dim=1)
    wanted = torch.cat([directions(20_000), fold])
    error = (octahedral.look_up(linear, wanted) - wanted).abs()
    # the map's own slope jumps at the folds, by up to twice a texel's half width there, and is smooth elsewhere
    assert error.max() < 1.2 / size
    assert error.mean() < 0.05 / size
    stack = torch.stack([linear, 3 * linear], 1)
    level = torch.rand(len(wanted), dtype=torch.float64)
    found = octahedral.look_up_levels(stack, wanted, level)
    torch.testing.assert_close(found, octahedral.look_up(linear, wanted) * (1 + 2 * level[:, None]), atol=1e-9, rtol=0)
