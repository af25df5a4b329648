"""How bodies may move: where they start, and how far they get under any push."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from maquette_backend.refine.finish import Mesh, frozen
from maquette_backend.refine.keep_topology import FixedBody, OffsetBody, OffsetSettings
from maquette_backend.refine.placement import place
from maquette_backend.refine.remesh import FARTHEST_CARRIED, LATTICE_PER_CLASS, RemeshBody, RemeshSettings
from maquette_backend.refine.remesh_grid import remesh_grid
from maquette_backend.shape.sdf import signed_distance, solid_of
from maquette_protocol.recipe import IDENTITY
from numpy.typing import NDArray
from refine_shapes import (
    Positions,
    Triangles,
    box_chair,
    boxes,
    closed_and_oriented,
    component_count,
    distances,
    grid_box,
    samples,
    volume,
)
from torch import Tensor

from tests.backend.render.surfaces import sphere

GRID_CLASS = 48
SPACING = 1.24 / round(GRID_CLASS * LATTICE_PER_CLASS)
BOUND = 0.05


def ball() -> tuple[Positions, Triangles]:
    positions, triangles = sphere(16)
    return positions.numpy().astype(np.float32), triangles.numpy().astype(np.int32)


def unit(shape: tuple[Positions, Triangles]) -> tuple[Positions, Triangles]:
    return place("Shape", shape[0], IDENTITY).to_unit(shape[0]), shape[1]


SHAPES = {
    "ball": ball(),
    "box": unit(boxes((-0.5, -0.3, -0.4, 0.5, 0.3, 0.4))),
    "chair": unit(box_chair(leg=0.12)),
}


def remesh(name: str, bound: float = BOUND, grid_class: int = GRID_CLASS) -> RemeshBody:
    return RemeshBody(*SHAPES[name], RemeshSettings(grid_class=grid_class, bound=bound))


def pushed(body: RemeshBody, amount: float, channels: slice = slice(0, 1)) -> Mesh:
    """With the field at ``amount`` everywhere: positive shrinks."""
    with torch.no_grad():
        for level in body.field.levels:
            level[:, channels] = amount
    return frozen(body.surface())


def signed(points: NDArray[np.floating], name: str) -> NDArray[np.float64]:
    return signed_distance(points, *SHAPES[name]).astype(np.float64)


def unioned(name: str) -> float:
    """Volume of the union of a shape's boxes, in closed form."""
    return {"box": 0.48, "chair": 0.5 * 0.5 * 0.08 + 0.5 * 0.08 * 0.5 + 4 * 0.12 * 0.12 * 0.42}[name]


@pytest.mark.parametrize("name", SHAPES)
def test_remesh_starts_at_the_artists_surface(name: str) -> None:
    """Both ways: every new vertex lies on the old surface, and no part of the old surface is missing.

    On flat faces the distance is linear, so exact; a ball is off by spacing²/8r at most; an edge is cut within a cell.
    """
    mesh = frozen(remesh(name).surface())
    there, back = distances(mesh.positions, *SHAPES[name]), distances(samples(*SHAPES[name]), mesh.positions, mesh.triangles)
    assert there.max() < 0.5 * SPACING
    assert back.max() < SPACING
    assert back.mean() < 0.08 * SPACING
    if name == "ball":
        facet = 0.5 * (1 - math.cos(math.pi / 32))  # the artist's ball has flat facets of its own
        assert max(there.max(), back.max()) < SPACING**2 / (8 * 0.5) + facet
    assert closed_and_oriented(mesh.triangles)
    assert volume(mesh.positions, mesh.triangles) == pytest.approx(math.pi / 6 if name == "ball" else unioned(name), rel=0.06)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("amount", [-1e4, 1e4])
def test_no_push_gets_past_the_bound(name: str, amount: float) -> None:
    """Distance moved is bounded by the displacement's bound, and off by no more than a cell's interpolation."""
    mesh = pushed(remesh(name), amount)
    moved = signed(mesh.positions, name)
    outward = moved if amount < 0 else -moved
    assert outward.max() < BOUND + 0.25 * SPACING
    assert outward.min() > -0.5 * SPACING
    assert np.abs(moved).max() > 0.5 * BOUND  # the push did get somewhere
    assert closed_and_oriented(mesh.triangles)
    assert volume(mesh.positions, mesh.triangles) > 0


@pytest.mark.parametrize("name", SHAPES)
def test_the_surface_stays_closed_under_a_wild_field(name: str) -> None:
    """Displacement and vertex shifts at random, far past every bound."""
    body = remesh(name)
    torch.manual_seed(4)
    with torch.no_grad():
        for level in body.field.levels:
            level.normal_(std=3.0)
    mesh = frozen(body.surface())
    assert closed_and_oriented(mesh.triangles)
    assert np.abs(signed(mesh.positions, name)).max() < BOUND + 0.5 * SPACING


def test_thin_legs_survive_the_hardest_pull_inwards() -> None:
    """The chair stays one piece and its four feet stay on the floor."""
    for amount in (0.0, 1e4):
        mesh = pushed(remesh("chair"), amount)
        assert component_count(mesh.triangles) == 1
        feet = mesh.positions[mesh.positions[:, 2] < -0.4]
        corners = {(bool(x > 0), bool(y > 0)) for x, y, _ in feet}
        assert len(corners) == 4


def wall(x: float) -> tuple[Positions, Triangles]:
    """Thinner than a cell of the grid, upright at ``x``."""
    return boxes((x - 0.015, -0.4, -0.5, x + 0.015, 0.4, 0.5))


def test_a_thin_wall_can_be_carried_farther_than_it_is_thick() -> None:
    """Neither side may go farther into it than a quarter of its thickness, but both together may go by the bound."""
    body = RemeshBody(*wall(0.0), RemeshSettings(grid_class=GRID_CLASS, bound=BOUND))
    with torch.no_grad():
        body.field.levels[0][:, 1] = 1e4
    mesh = frozen(body.surface())
    inner = samples(mesh.positions, mesh.triangles)
    inner = inner[(np.abs(inner[:, 1]) < 0.35) & (np.abs(inner[:, 2]) < 0.45)]
    assert distances(inner, *wall(min(BOUND, FARTHEST_CARRIED))).max() < 2e-3
    assert distances(inner, *wall(0.0)).max() < BOUND + 2e-3
    assert closed_and_oriented(mesh.triangles)


def test_what_is_carried_and_what_is_pushed_share_one_bound() -> None:
    """A ball that grows as far as it can while it is carried along: its front gets to the bound and not past it."""
    body = remesh("ball", grid_class=32)
    with torch.no_grad():
        body.field.levels[0][:, 1] = 0.7 * BOUND
    carried = pushed(body, -1e4)
    moved = distances(carried.positions, *SHAPES["ball"])
    assert 0.9 * BOUND < moved.max() < BOUND + 2e-3
    assert float(carried.positions[:, 0].mean()) == pytest.approx(math.tanh(0.7) * BOUND, abs=2e-3)


def test_smoothness_counts_along_the_surface_and_not_through_it() -> None:
    """Sides of a plate that part cost nothing; one that leans as much costs what its slope does."""
    middle = 0.01  # between the grid's points, where neither side is the nearer one
    grid = remesh_grid(solid_of(*boxes((-0.5, -0.5, middle - 0.1, 0.5, 0.5, middle + 0.1))), 32, BOUND, 0.5, torch.device("cpu"))
    ends = grid.grid.vertices[grid.edges.edges]
    flat = (ends[..., :2].abs() < 0.3).all(2).all(1)

    def cost(of: Callable[[Tensor], Tensor]) -> float:
        change = of(ends[:, 0]) - of(ends[:, 1])
        return float((change[:, None] * grid.stiffness)[flat].square().mean())

    assert cost(lambda p: 0.1 * (p[:, 2] - middle).sign()) < 1e-9
    assert cost(lambda p: 0.1 * p[:, 0]) > 2e-3
    assert cost(lambda p: 0.1 * p[:, 2]) < 0.5 * cost(lambda p: 0.1 * p[:, 0])


def test_a_small_strength_moves_little() -> None:
    """Vertex shifts count too: at a bound of a thousandth nothing may move by a cell's fifth."""
    bound = 0.001
    start = frozen(remesh("ball", bound=bound).surface())
    torch.manual_seed(4)
    body = remesh("ball", bound=bound)
    with torch.no_grad():
        for level in body.field.levels:
            level.normal_(std=3.0)
    moved = distances(frozen(body.surface()).positions, start.positions, start.triangles)
    assert moved.max() < 3 * bound


def test_remesh_follows_its_gradient() -> None:
    """The tape tells the truth: descending the mean height lowers the surface."""
    body = remesh("ball")
    optimiser = torch.optim.Adam(body.parameters(), lr=2e-3)
    before = float(body.surface().positions.detach()[:, 2].mean())
    for _ in range(5):
        optimiser.zero_grad()
        body.surface().positions[:, 2].mean().backward()
        optimiser.step()
    assert float(body.surface().positions.detach()[:, 2].mean()) < before - 1e-3


def offsets(bound: float = BOUND) -> OffsetBody:
    return OffsetBody(*grid_box(), OffsetSettings(bound=bound))


def test_what_overshot_comes_back_when_it_is_asked_to() -> None:
    """Twenty steps towards a ball twice as large, then forty back: neither the surface stays out nor the wish for it."""
    body = RemeshBody(*SHAPES["ball"], RemeshSettings(grid_class=32, bound=0.02))
    optimiser = torch.optim.Adam(body.parameters(), lr=6e-3, betas=(0.9, 0.99))
    radii = torch.zeros(0)
    for number in range(60):
        surface = body.surface()
        radii = surface.positions.norm(dim=1)
        loss = (radii - (1.0 if number < 20 else 0.5)).abs().mean() + body.penalty(surface)
        if number == 20:
            assert radii.mean().item() > 0.51
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    wished = body.surface().displacement
    assert wished is not None
    assert abs(radii.mean().item() - 0.5) < 2e-3
    assert wished[:, 0].abs().mean().item() < 0.02


def test_offsets_start_bit_identical() -> None:
    positions, triangles = grid_box()
    surface = offsets().surface()
    assert surface.positions.detach().numpy().tobytes() == positions.tobytes()
    assert np.array_equal(surface.triangles.numpy(), triangles)


@pytest.mark.parametrize("amount", [0.01, 1.0, 1e6])
@pytest.mark.parametrize("bound", [0.001, 0.1])
def test_no_offset_is_longer_than_the_bound(amount: float, bound: float) -> None:
    """To the rounding of adding an offset to a coordinate near one half."""
    body = offsets(bound)
    torch.manual_seed(1)
    with torch.no_grad():
        body.differential.normal_(std=amount)
    moved = (body.surface().positions.detach().double() - body.start.double()).norm(dim=1)
    assert float(moved.max()) <= bound + 1.1e-7
    assert float(moved.max()) > 0.9 * bound or amount < 1


def test_offsets_do_not_tear_split_corners() -> None:
    """Vertices at one place stay at one place."""
    body = offsets()
    torch.manual_seed(1)
    with torch.no_grad():
        body.differential.normal_()
    _, group = np.unique(body.start.numpy(), axis=0, return_inverse=True)
    moved = body.surface().positions.detach().numpy()
    for corner in range(group.max() + 1):
        assert np.ptp(moved[group.reshape(-1) == corner], axis=0).max() == 0


def test_an_untouched_mesh_pays_nothing() -> None:
    """Artists' sharp edges are meant: only a change from the start costs."""
    body = offsets()
    penalty = body.penalty(body.surface())
    assert float(penalty.detach()) == pytest.approx(0, abs=1e-9)
    penalty.backward()
    assert body.differential.grad is not None
    assert float(body.differential.grad.abs().max()) < 1e-6


def test_moving_costs() -> None:
    body = offsets()
    with torch.no_grad():
        body.differential[40:60] = 0.3
    assert float(body.penalty(body.surface()).detach()) > 1e-4


def test_a_fixed_body_is_what_was_given() -> None:
    positions, triangles = grid_box()
    body = FixedBody(positions, triangles)
    assert body.surface().positions.numpy().tobytes() == positions.tobytes()
    assert not list(body.parameters())
    assert float(body.penalty(body.surface())) == 0
