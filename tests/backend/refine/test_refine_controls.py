"""What an artist locks, masks and marks holds through whole jobs, and what makes no sense is named before they start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from job_in_memory import SMALL, Events, Shelf, Store, equal, run
from maquette_backend.priors.prior import Prior
from maquette_backend.refine.controls import Controls, anchor_factor, read_controls
from maquette_backend.refine.events import RefinedSubject
from maquette_backend.refine.job import refine_job
from maquette_backend.refine.keep_topology import OffsetBody, OffsetSettings, unlocked
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import IDENTITY, Locks, Matrix4, Recipe, Subject
from numpy.typing import NDArray
from refine_shapes import Positions, Triangles, box_chair, grid_box

from tests.backend.guidance.gaussian_prior import GaussianPrior, plain_settings

STAGES = replace(SMALL, geometry_steps=8, appearance_steps=0, preview_every=0)
TURNED: Matrix4 = (0, -1.5, 0, 70, 2, 0, 0, -30, 0, 0, -1.2, 9, 0, 0, 0, 1)
"""Turned, stretched, upside down and inside out, and far away."""
WORLDS = [IDENTITY, TURNED]
STRENGTH = 0.5
BOUND = 0.05


class DiscPrior:
    """Holds one picture likely, a bright disc, whatever it is asked for."""

    def __init__(self) -> None:
        inside = (torch.linspace(-1, 1, 64)[:, None] ** 2 + torch.linspace(-1, 1, 64) ** 2 < 0.5).float()
        mean = torch.cat([inside.expand(6, 64, 64), 2 * inside[None] - 1])[None]
        settings = plain_settings(modalities=("joint", "surface"))
        self.prior = GaussianPrior(lambda text, views, modality: mean, spread=0.3, settings=settings)

    def __call__(self, name: str) -> Prior:
        return self.prior


def welded(shape: tuple[Positions, Triangles]) -> tuple[Positions, Triangles]:
    """One vertex at each place."""
    positions, place = np.unique(shape[0], axis=0, return_inverse=True)
    return positions, place.reshape(-1)[shape[1]].astype(np.int32)


BOX = welded(grid_box())


def refined(subject: Subject, shelf: Shelf, steps: int = STAGES.geometry_steps) -> RefinedSubject:
    recipe = Recipe((subject,), stages=replace(STAGES, geometry_steps=steps))
    (result,) = run(recipe, shelf, priors=DiscPrior()).results
    return result


def kept(
    shelf: Shelf,
    shape: tuple[Positions, Triangles] = BOX,
    *,
    mask: NDArray[np.float32] | None = None,
    sharp: NDArray[np.int32] | None = None,
    world: Matrix4 = IDENTITY,
    locks: Locks = Locks(),  # noqa: B008 (immutable)
    stay_close: float = 0.5,
) -> Subject:
    """A Keep Topology subject."""
    subject = shelf.subject(*shape, mode="keep_topology", strength=STRENGTH, world_from_object=world)
    return replace(
        subject,
        mask=None if mask is None else shelf.put(mask),
        sharp_edges=None if sharp is None else shelf.put(sharp),
        locks=locks,
        stay_close=stay_close,
    )


def moved_in_world(result: RefinedSubject, start: Positions, world: Matrix4) -> NDArray[np.float64]:
    """[V], units of the longest side in the world."""
    linear = np.reshape(world, (4, 4))[:3, :3]
    longest = np.ptp(start.astype(np.float64) @ linear.T, axis=0).max()
    return np.linalg.norm((result.positions.astype(np.float64) - start) @ linear.T, axis=1) / longest


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


@pytest.mark.parametrize("world", WORLDS)
def test_a_masked_out_half_keeps_its_bits_and_the_rest_its_share(world: Matrix4, shelf: Shelf) -> None:
    positions, triangles = BOX
    odd = (positions * np.float32(0.987654) + np.array([7.123, -3.3, 0.017], np.float32)).astype(np.float32)
    mask = np.clip(positions[:, 0] * 2 + 0.3, 0, 1).astype(np.float32)
    result = refined(kept(shelf, (odd, triangles), mask=mask, world=world), shelf)
    out = mask == 0
    assert 0.2 < out.mean() < 0.8
    assert result.positions[out].tobytes() == odd[out].tobytes()
    moved = moved_in_world(result, odd, world)
    assert (moved <= BOUND * mask + 1e-6).all()  # of coordinates near 7, in single precision
    assert moved.max() > 1e-3


def body(mask: NDArray[np.float32], locks: Locks = Locks(), bound: float = BOUND) -> OffsetBody:  # noqa: B008
    shelf = Shelf()
    controls = read_controls(kept(shelf, mask=mask, locks=locks), *BOX, shelf)
    return OffsetBody(*BOX, OffsetSettings(bound=bound), controls=controls)


@pytest.mark.parametrize("mask", [np.ones(218, np.float32), np.linspace(0, 1, 218, dtype=np.float32)])
@pytest.mark.parametrize("amount", [0.1, 1e6])
def test_no_push_gets_past_the_share_of_the_bound(mask: NDArray[np.float32], amount: float) -> None:
    pushed = body(mask)
    torch.manual_seed(1)
    with torch.no_grad():
        pushed.differential.normal_(std=amount)
    assert (np.linalg.norm(pushed.object_offsets().astype(np.float64), axis=1) <= BOUND * mask).all()


def test_a_hard_mask_has_a_soft_border() -> None:
    """A push of the free half alike comes to rest before the border, and does not pass it."""
    positions, _ = BOX
    pushed = body((positions[:, 2] > -0.3).astype(np.float32), bound=10.0)
    with torch.no_grad():
        pushed.differential[:, 0] = 0.01
    across = pushed.object_offsets()[:, 0]
    levels = np.unique(positions[:, 2])
    mean = [across[positions[:, 2] == level].mean() for level in levels]
    assert mean[:2] == [0, 0]
    assert all(low < high for low, high in pairwise(mean[1:]))
    assert mean[2] < 0.75 * mean[-1]


def test_gradients_do_not_leak_through_a_mask() -> None:
    """What the masked-out vertices are wished to do moves nobody."""
    positions, _ = BOX
    mask = (positions[:, 2] > -0.3).astype(np.float32)
    pushed = body(mask)
    (pushed.surface().positions[mask == 0].sum()).backward()
    assert pushed.differential.grad is not None
    assert (pushed.differential.grad == 0).all()


LOCKS = [
    Locks(symmetry_x=True),
    Locks(symmetry_y=True, symmetry_z=True),
    Locks(symmetry_x=True, flat_bottom=True),
    Locks(symmetry_x=True, symmetry_y=True, symmetry_z=True, flat_bottom=True),
    Locks(flat_bottom=True),
]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("locks", LOCKS)
def test_locks_hold_exactly_in_object_space(locks: Locks, world: Matrix4, shelf: Shelf) -> None:
    positions = BOX[0] + np.array([0, 0, 0 if locks.symmetry_z else 0.25], np.float32)
    result = refined(kept(shelf, (positions, BOX[1]), locks=locks, world=world), shelf)
    for axis, on in enumerate((locks.symmetry_x, locks.symmetry_y, locks.symmetry_z)):
        image = result.positions * np.where(np.arange(3) == axis, -1, 1).astype(np.float32)
        same = np.array_equal(np.unique(result.positions + np.float32(0), axis=0), np.unique(image + np.float32(0), axis=0))
        assert same == on
    floor = positions[:, 2].min()
    resting = positions[:, 2] == floor
    if locks.flat_bottom:
        assert (result.positions[resting, 2] == floor).all()
        assert result.positions[:, 2].min() == floor
    else:
        assert not (result.positions[resting, 2] == floor).any()
    moved = moved_in_world(result, positions, world)
    assert 1e-3 < moved.max() <= BOUND + 1e-6


def test_mask_and_symmetry_together_take_the_smaller_of_each_pair(shelf: Shelf) -> None:
    positions, _ = BOX
    mask = np.where(positions[:, 0] > 0.4, 0, 1).astype(np.float32)
    result = refined(kept(shelf, mask=mask, locks=Locks(symmetry_x=True)), shelf)
    still = np.abs(positions[:, 0]) > 0.4
    assert result.positions[still].tobytes() == positions[still].tobytes()
    assert (result.positions[~still] != positions[~still]).any(1).mean() > 0.9


def test_stay_close_holds_the_more_the_higher_it_is(shelf: Shelf) -> None:
    drifts = []
    for stay_close in (0.0, 0.5, 0.75, 1.0):
        result = refined(kept(shelf, stay_close=stay_close), shelf, steps=20)
        drifts.append(float(np.sqrt((moved_in_world(result, BOX[0], IDENTITY) ** 2).mean())))
    assert all(one > two for one, two in pairwise(drifts))
    assert drifts[-1] < 0.5 * drifts[0]
    assert anchor_factor(0.5) == 1
    assert anchor_factor(0) < 0.05


def box_edges() -> NDArray[np.int32]:
    """The mesh's edges along the box's own twelve."""
    positions, triangles = BOX
    ends = np.unique(np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), 1), axis=0)
    outer = np.abs(positions) > 0.49
    return ends[(outer[ends[:, 0]] & outer[ends[:, 1]]).sum(1) >= 2].astype(np.int32)


def corner_angles(positions: Positions) -> NDArray[np.float64]:
    """Between the two faces beside each of ``box_edges``, degrees; 90 at the start."""
    triangles = BOX[1]
    a, b, c = np.moveaxis(positions.astype(np.float64)[triangles], 1, 0)
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    angles = []
    for edge in box_edges():
        one, two = np.flatnonzero(np.isin(triangles, edge).sum(1) == 2)
        angles.append(np.degrees(np.arccos(np.clip(normal[one] @ normal[two], -1, 1))))
    return np.array(angles)


def rounded(sharp: NDArray[np.int32]) -> Positions:
    """The box after its surface was pulled towards a ball."""
    controls = replace(unlocked(*BOX), sharp_edges=sharp)
    pulled = OffsetBody(*BOX, OffsetSettings(bound=0.2), controls=controls)
    optimiser = torch.optim.Adam(pulled.parameters(), lr=5e-3)
    for _ in range(150):
        surface = pulled.surface()
        optimiser.zero_grad()
        pull = (surface.positions.norm(dim=1) - 0.6).square().mean()
        (200 * pull + pulled.penalty(surface)).backward()
        optimiser.step()
    return pulled.surface().positions.detach().numpy()


def test_edges_marked_sharp_keep_their_angle_and_others_do_not() -> None:
    assert len(box_edges()) == 72
    np.testing.assert_allclose(corner_angles(BOX[0]), 90, atol=1e-4)
    free, marked = (rounded(sharp) for sharp in (np.zeros((0, 2), np.int32), box_edges()))
    off = [np.abs(corner_angles(positions) - 90).mean() for positions in (free, marked)]
    assert off[0] > 4
    assert off[1] < 0.4 * off[0]
    assert np.abs(marked - BOX[0]).max() > 0.02  # the rest did move


def test_loose_vertices_stay(shelf: Shelf) -> None:
    """Beside the mesh, and on a vertex of it."""
    loose = np.concatenate([BOX[0], [[0.1, 0.7, -2]], BOX[0][:1]]).astype(np.float32)
    result = refined(kept(shelf, (loose, BOX[1])), shelf)
    assert result.positions[-2:].tobytes() == loose[-2:].tobytes()
    assert (result.positions[:-2] != loose[:-2]).any(1).all()


@pytest.mark.parametrize("number", [4, 10])
def test_a_controlled_job_resumes_to_the_last_bit(number: int, shelf: Shelf) -> None:
    """Within geometry and within appearance, where the shape comes from the checkpoint."""
    mask = np.clip(BOX[0][:, 0] + 0.3, 0, 1).astype(np.float32)
    subject = kept(shelf, mask=mask, world=TURNED, locks=Locks(flat_bottom=True), stay_close=0.2)
    recipe, store = Recipe((subject,), stages=replace(STAGES, appearance_steps=4)), Store()
    whole = run(recipe, shelf, priors=DiscPrior()).results[0]
    stopped = run(recipe, shelf, store, lambda asked: "cancel" if asked >= number else "go_on", DiscPrior())
    assert stopped.results == []
    assert equal(run(recipe, shelf, store, priors=DiscPrior()).results[0], whole)


def mask_of(value: float) -> NDArray[np.float32]:
    mask = np.ones(len(BOX[0]), np.float32)
    mask[17] = value
    return mask


LOPSIDED = (np.abs(BOX[0]) @ np.array([[1, 0, 0], [0.3, 1, 0], [0, 0, 1]], np.float32) + BOX[0] * 3, BOX[1])
WRONG: dict[str, tuple[Callable[[Shelf], Subject], ErrorCode, str]] = {
    "nan": (lambda shelf: kept(shelf, mask=mask_of(np.nan)), ErrorCode.INVALID_RECIPE, "nan at vertex 17"),
    "above": (lambda shelf: kept(shelf, mask=mask_of(1.5)), ErrorCode.INVALID_RECIPE, "1.5 at vertex 17"),
    "below": (lambda shelf: kept(shelf, mask=mask_of(-0.25)), ErrorCode.INVALID_RECIPE, "-0.25 at vertex 17"),
    "short": (lambda shelf: kept(shelf, mask=mask_of(1)[:-1]), ErrorCode.INVALID_RECIPE, "218 vertices"),
    "nothing": (lambda shelf: kept(shelf, mask=mask_of(0) * 0), ErrorCode.INVALID_RECIPE, "nothing may move"),
    "only a loose vertex": (
        lambda shelf: kept(
            shelf,
            (np.concatenate([BOX[0], BOX[0][:1]]), BOX[1]),
            mask=np.concatenate([0 * mask_of(0), [1]]).astype(np.float32),
        ),
        ErrorCode.INVALID_RECIPE,
        "nothing may move",
    ),
    "one half and symmetry": (
        lambda shelf: kept(shelf, mask=(BOX[0][:, 1] > 0).astype(np.float32), locks=Locks(symmetry_y=True)),
        ErrorCode.INVALID_RECIPE,
        "together leave no vertex",
    ),
    "not symmetric": (
        lambda shelf: kept(shelf, LOPSIDED, locks=Locks(symmetry_z=True)), ErrorCode.INVALID_RECIPE, "symmetric in Z"
    ),
    "edge past the end": (
        lambda shelf: kept(shelf, sharp=np.array([[0, 1], [3, 218]], np.int32)),
        ErrorCode.BAD_INDEX,
        "sharp edge 1 joins vertices 3 and 218, of 218",
    ),
    "edge before the start": (
        lambda shelf: kept(shelf, sharp=np.array([[-1, 1]], np.int32)), ErrorCode.BAD_INDEX, "sharp edge 0"
    ),
}


@pytest.mark.parametrize("mode", ["keep_topology", "remesh"])
@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_named_before_anything_is_computed(name: str, mode: str, shelf: Shelf) -> None:
    make, code, words = WRONG[name]
    subject = replace(make(shelf), mode=mode, name="Broken Stool")
    events, store = Events(), Store()

    def no_prior(name: str) -> Prior:
        raise AssertionError("a prior was loaded for a job that cannot run")

    good = kept(shelf)
    with pytest.raises(MaquetteError, match="Broken Stool") as caught:
        refine_job(Recipe((good, replace(subject, subject_id="9" * 32)), stages=STAGES), shelf, events, store, no_prior)
    assert caught.value.code is code
    assert words in caught.value.message
    assert caught.value.remedy
    assert (events.reports, events.results, store.saves) == ([], [], 0)


@pytest.mark.parametrize("mode", ["keep_topology", "remesh"])
def test_a_mask_that_leaves_nothing_is_no_matter_where_nothing_moves_anyway(mode: str, shelf: Shelf) -> None:
    subject = replace(kept(shelf, mask=0 * mask_of(0), locks=Locks(symmetry_x=True)), mode=mode, strength=0.0)
    assert refined(subject, shelf).positions.tobytes() == BOX[0].tobytes()


def test_without_controls_everything_is_free_but_loose_vertices(shelf: Shelf) -> None:
    positions, triangles = box_chair()
    loose = np.concatenate([positions, [[9, 9, 9]]]).astype(np.float32)
    controls: Controls = read_controls(kept(shelf, (loose, triangles)), loose, triangles, shelf)
    np.testing.assert_array_equal(controls.share, [1] * len(positions) + [0])
    assert controls.ties.free.all()
    assert len(controls.sharp_edges) == 0
