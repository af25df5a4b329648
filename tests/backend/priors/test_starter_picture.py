"""Joint pictures: parts land where the constants say, scaling is undone exactly."""

from __future__ import annotations

import torch
from maquette_backend.priors.starter import picture


def test_parts_are_joined_in_their_places() -> None:
    color, normal, coverage = torch.rand(2, 3, 4, 4), -torch.rand(2, 3, 4, 4), torch.rand(2, 1, 4, 4)
    joined = picture.join(color, normal, coverage)
    assert joined.shape == (2, picture.CHANNELS, 4, 4)
    assert torch.equal(joined[:, picture.COLOR], color)
    assert torch.equal(joined[:, picture.NORMAL], normal)
    torch.testing.assert_close(joined[:, picture.COVERAGE], 2 * coverage - 1)
    assert torch.equal(joined[:, picture.GEOMETRY], joined[:, 3:])


def test_decoding_undoes_encoding_and_no_code_is_larger_than_stated() -> None:
    images = torch.rand(3, 7, 4, 4) * 2 - 1
    torch.testing.assert_close(picture.decode(picture.encode(images)), images)
    assert picture.encode(torch.ones(1, 7, 1, 1)).max() == picture.LARGEST


def test_times_go_to_their_channels() -> None:
    times = picture.channel_times(torch.tensor([0.9, 0.8]), torch.tensor([0.1, 0.2]))
    assert times.shape == (2, 7, 1, 1)
    torch.testing.assert_close(times[1, :, 0, 0], torch.tensor([0.8] * 3 + [0.2] * 4))
