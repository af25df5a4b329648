"""Locks as ties: partners found, exact under any wish, combined, and never past the bound or the floor."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from maquette_backend.shape.mirror import NONE, mirror_partners
from maquette_backend.shape.tied_offsets import TiedOffsets, added
from maquette_backend.shape.ties import Ties, partners_of_used, smallest_of_group, tie
from numpy.typing import NDArray

CPU = torch.device("cpu")
BOUND = 0.07
MIRRORS = [
    axes for count in range(4) for axes in itertools.combinations(range(3), count)
]


def lattice(side: int = 4) -> NDArray[np.float32]:
    """Points of a cube about the origin: symmetric in every axis, with points on planes for an odd side."""
    axis = np.linspace(-0.5, 0.5, side)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3).astype(np.float32)


def all_used(positions: NDArray[np.float32]) -> NDArray[np.bool_]:
    return np.ones(len(positions), bool)


def locked(positions: NDArray[np.float32], axes: tuple[int, ...], flat_bottom: bool = False) -> Ties:
    used = all_used(positions)
    return tie(positions, used, [(axis, partners_of_used(positions, used, axis)) for axis in axes], flat_bottom)


def wish(count: int, scale: float = 1.0, seed: int = 0) -> torch.Tensor:
    return scale * torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def moved(
    positions: NDArray[np.float32],
    ties: Ties,
    share: NDArray[np.float32] | None = None,
    linear: NDArray[np.float64] | None = None,
    scale: float = 1.0,
) -> NDArray[np.float32]:
    """Object-space offsets under a random wish."""
    shares = np.ones(len(positions), np.float32) if share is None else share
    space = np.eye(3) if linear is None else linear
    return TiedOffsets(ties, shares, space, BOUND, CPU).in_object_space(wish(len(positions), scale)).numpy()


def mirrored(points: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    image = points.copy()
    image[:, axis] *= -1
    return image


def rows(points: NDArray[np.float32]) -> set[tuple[float, ...]]:
    """To the last bit; −0 and 0 are one number."""
    return {tuple(point) for point in (points + np.float32(0)).tolist()}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_partners_are_mirror_images_and_name_each_other(axis: int) -> None:
    positions = lattice(5)
    partner = mirror_partners(positions, axis, 1e-4)
    np.testing.assert_array_equal(positions[partner], mirrored(positions, axis) + np.float32(0))
    np.testing.assert_array_equal(partner[partner], np.arange(len(positions)))


def test_what_is_further_off_than_the_tolerance_has_no_partner() -> None:
    positions = np.array([[1, 0, 0], [-1.00009, 0, 0], [2, 0, 0], [-2.0002, 0, 0], [0.00009, 3, 0], [0.0002, 4, 0]], np.float32)
    assert mirror_partners(positions, 0, 1e-4).tolist() == [1, 0, NONE, NONE, 4, NONE]


def test_partners_within_a_crowd_stay_pairs() -> None:
    """Two points nearer to each other than the tolerance share one image: one of them stays without."""
    positions = np.array([[1, 0, 0], [1.00002, 0, 0], [-1, 0, 0]], np.float32)
    assert mirror_partners(positions, 0, 1e-4).tolist() == [2, NONE, 0]


@pytest.mark.parametrize("side", [4, 5])
@pytest.mark.parametrize("axes", MIRRORS)
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_a_symmetric_mesh_stays_symmetric_to_the_last_bit(side: int, axes: tuple[int, ...], scale: float) -> None:
    positions = lattice(side)
    result = added(positions, moved(positions, locked(positions, axes), scale=scale))
    for axis in axes:
        assert rows(result) == rows(mirrored(result, axis))
    assert len(rows(result)) == len(positions)
    assert np.abs(result - positions).max() > 0.3 * min(scale, BOUND)


@pytest.mark.parametrize("axes", MIRRORS)
def test_what_is_on_a_plane_stays_on_it(axes: tuple[int, ...]) -> None:
    positions = lattice(5)
    offsets = moved(positions, locked(positions, axes))
    for axis in range(3):
        on_plane = positions[:, axis] == 0
        assert (offsets[on_plane, axis] == 0).all() == (axis in axes)
        assert (offsets[~on_plane, axis] != 0).all()


def test_allowed_offsets_are_a_projection() -> None:
    """Wishing again for what was allowed changes nothing, and no allowed offset is nearer to the wish."""
    positions = lattice(4)
    ties = locked(positions, (0, 1), flat_bottom=False)
    free = TiedOffsets(ties, np.ones(len(positions), np.float32), np.eye(3), 1e6, CPU)
    first = free.in_object_space(wish(len(positions)))
    torch.testing.assert_close(free.in_object_space(first), first, rtol=1e-5, atol=1e-6)
    other = free.in_object_space(wish(len(positions), seed=1))
    assert float(((wish(len(positions)) - first) * other).sum()) == pytest.approx(0, abs=1e-3)  # what is left is orthogonal


def test_a_point_without_a_partner_is_free() -> None:
    positions = np.concatenate([lattice(4), [[0.3, 0.31, 0.32]]]).astype(np.float32)
    offsets = moved(positions, locked(positions, (0,)))
    without = moved(positions, locked(positions, ()))
    np.testing.assert_array_equal(offsets[-1], without[-1])


def test_half_a_partnership_is_still_exact() -> None:
    """Of four points of a rectangle one is missing: y's lock ties a pair whose one half x ties to a third."""
    positions = np.array([[1, 1, 0], [-1, 1, 0], [1, -1, 0]], np.float32)
    offsets = moved(positions, locked(positions, (0, 1)))
    np.testing.assert_array_equal(offsets[1], offsets[0] * [-1, 1, 1])
    np.testing.assert_array_equal(offsets[2], offsets[0] * [1, -1, 1])


def test_points_at_one_place_move_together_and_loose_ones_are_tied_to_nothing() -> None:
    positions = np.concatenate([lattice(3), lattice(3)])
    used = np.arange(len(positions)) != 5
    ties = tie(positions, used)
    offsets = moved(positions, ties)
    same = (offsets[:27] == offsets[27:]).all(1)
    assert same.sum() == 26
    assert not same[5]


@pytest.mark.parametrize("axes", MIRRORS)
def test_nothing_sinks_below_the_floor_and_what_rests_there_stays(axes: tuple[int, ...]) -> None:
    positions = lattice(4)
    positions[:, 2] = np.where(positions[:, 2] < -0.4, -0.5, positions[:, 2] * 0.8 - 0.15)  # three layers near the floor
    if 2 in axes:
        positions = lattice(4) * np.array([1, 1, 0.1], np.float32)
    ties = locked(positions, axes, flat_bottom=True)
    result = added(positions, moved(positions, ties))
    floor = positions[:, 2].min()
    resting = positions[:, 2] == floor
    assert (result[resting, 2] == floor).all()
    assert result[:, 2].min() >= floor
    assert (result[~resting, 2] != positions[~resting, 2]).mean() > 0.4
    assert (result[resting, :2] != positions[resting, :2]).all()
    for axis in axes:
        assert rows(result) == rows(mirrored(result, axis))


SHEAR = np.array([[1.0, 0.7, 0.0], [0.0, 0.5, 0.3], [0.2, 0.0, 2.0]])


@pytest.mark.parametrize("axes", MIRRORS)
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_bound_holds_in_every_space(axes: tuple[int, ...], size: float) -> None:
    """In the world's units, of a sheared and scaled object, under any lock, to single precision."""
    positions = lattice(5) * np.float32(size)
    linear = SHEAR / size
    share = np.random.default_rng(1).uniform(0, 1, len(positions)).astype(np.float32)
    ties = locked(positions, axes, flat_bottom=True)
    offsets = moved(positions, ties, share, linear, scale=100.0).astype(np.float64)
    length = np.linalg.norm(offsets @ linear.T, axis=1)
    allowed = BOUND * smallest_of_group(share, ties)
    assert (length <= allowed).all()
    assert (length > 0.5 * allowed).mean() > 0.3


@given(
    cloud=st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=30),
    axes=st.sampled_from(MIRRORS),
    flat=st.booleans(),
    scale=st.sampled_from([1e-4, 1.0, 1e5]),
)
@settings(max_examples=200, deadline=None)
def test_any_cloud_keeps_all_its_locks_at_once(
    cloud: list[tuple[int, int, int]], axes: tuple[int, ...], flat: bool, scale: float
) -> None:
    """Partners move as mirror images exactly, bounds and floor hold, whatever is missing or doubled."""
    positions = np.array([*cloud, (3, 3, 3)], np.float32)
    ties = locked(positions, axes, flat)
    offsets = moved(positions, ties, scale=scale)
    for axis in axes:
        partner = mirror_partners(positions, axis, 1e-3)
        has = partner != NONE
        np.testing.assert_array_equal(offsets[partner[has]], mirrored(offsets, axis)[has] + np.float32(0))
    assert (np.linalg.norm(offsets.astype(np.float64), axis=1) <= BOUND).all()
    if flat:
        assert added(positions, offsets)[:, 2].min() >= positions[:, 2].min()


def test_the_smallest_share_of_a_group_is_everyones() -> None:
    positions = np.array([[1, 0, 0], [-1, 0, 0], [1, 0, 0], [5, 5, 5]], np.float32)
    share = np.array([0.9, 0.4, 0.6, 0.8], np.float32)
    np.testing.assert_array_equal(smallest_of_group(share, locked(positions, (0,))), np.array([0.4, 0.4, 0.4, 0.8], np.float32))


def test_what_does_not_move_keeps_its_bits() -> None:
    positions = np.array([[-0.0, 1, 2], [3, -0.0, 5]], np.float32)
    result = added(positions, np.array([[0, 0, 0], [0, 0, 1]], np.float32))
    assert result[0].tobytes() == positions[0].tobytes()
    assert result[1].tolist() == [3, 0, 6]


def test_gradients_match_finite_differences() -> None:
    positions = lattice(3)
    tied = TiedOffsets(locked(positions, (0,)), np.full(27, 0.5, np.float32), SHEAR, BOUND, CPU)
    for name, value in vars(tied).items():
        if isinstance(value, torch.Tensor) and value.is_floating_point():
            setattr(tied, name, value.double())
    assert torch.autograd.gradcheck(tied.in_object_space, (wish(27, 0.05).double().requires_grad_(),))
