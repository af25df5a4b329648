"""Marching tetrahedra against a slow reference, closed forms and finite differences."""

import math

import pytest
import torch
from maquette_backend.shape import bcc, marching_tets
from torch import Tensor


def march(grid: bcc.TetGrid, sdf: Tensor) -> tuple[Tensor, Tensor]:
    return marching_tets.extract(grid.vertices, sdf, grid.tets, marching_tets.tet_edges(grid.tets))


def torus(p: Tensor) -> Tensor:
    return torch.hypot(torch.hypot(p[:, 0], p[:, 1]) - 0.4, p[:, 2]) - 0.15


def closed_and_oriented(faces: Tensor) -> bool:
    """Every directed edge once, and its reverse once."""
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    directed = {tuple(e) for e in edges}
    return len(directed) == len(edges) and all((b, a) in directed for a, b in directed)


def euler(faces: Tensor) -> int:
    edges = torch.cat([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).sort(dim=1).values
    return len(faces.unique()) - len(edges.unique(dim=0)) + len(faces)


def area_and_volume(v: Tensor, f: Tensor) -> tuple[float, float]:
    a, b, c = v[f].double().unbind(1)
    return torch.linalg.cross(b - a, c - a).norm(dim=1).sum().item() / 2, (
        a * torch.linalg.cross(b, c)
    ).sum().item() / 6


@pytest.mark.parametrize(("field", "characteristic"), [(lambda p: p.norm(dim=1) - 0.45, 2), (torus, 0)])
def test_surfaces_are_closed_oriented_and_of_the_right_genus(field, characteristic: int) -> None:
    grid = bcc.grid(16)
    v, f = march(grid, field(grid.vertices))
    assert closed_and_oriented(f)
    assert euler(f) == characteristic
    assert torch.equal(f.unique(), torch.arange(len(v)))


def test_sphere_has_its_area_and_volume() -> None:
    grid = bcc.grid(24)
    v, f = march(grid, grid.vertices.norm(dim=1) - 0.45)
    area, volume = area_and_volume(v, f)
    assert area == pytest.approx(4 * math.pi * 0.45**2, rel=0.01)
    assert volume == pytest.approx(4 / 3 * math.pi * 0.45**3, rel=0.01)  # positive: outward


def test_a_plane_is_reproduced_exactly() -> None:
    grid = bcc.grid(5)
    normal = torch.tensor([0.48, -0.6, 0.64])
    v, _ = march(grid, grid.vertices @ normal - 0.07)
    torch.testing.assert_close(v @ normal, torch.full((len(v),), 0.07), atol=1e-6, rtol=0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_sign_change_gives_an_empty_mesh(sign: float) -> None:
    grid = bcc.grid(2)
    v, f = march(grid, torch.full((len(grid.vertices),), sign))
    assert v.shape == (0, 3)
    assert f.shape == (0, 3)


def test_all_sixteen_cases_face_outward_on_one_tet() -> None:
    p = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    tet = torch.tensor([[0, 1, 2, 3]])
    for case in range(16):
        inside = torch.tensor([bool(case >> k & 1) for k in range(4)])
        v, f = marching_tets.extract(p, torch.where(inside, -1.0, 1.0), tet, marching_tets.tet_edges(tet))
        assert len(f) == [0, 1, 2, 1, 0][int(inside.sum())]
        for a, b, c in v[f]:
            assert torch.dot(torch.linalg.cross(b - a, c - a), p[~inside].mean(0) - p[inside].mean(0)) > 0


def reference(p: Tensor, sdf: Tensor, tets: Tensor) -> list[tuple[tuple[int, int], ...]]:
    """Per cut tet its polygon of grid edges, ordered by angle about the outward direction. No table."""
    polygons = []
    for tet in tets.tolist():
        inside = [v for v in tet if sdf[v] < 0]
        outside = [v for v in tet if sdf[v] >= 0]
        if not inside or not outside:
            continue
        edges = [(min(a, b), max(a, b)) for a in inside for b in outside]
        # midpoints, not crossings: the polygon's order does not depend on where edges are cut
        points = torch.stack([(p[a] + p[b]) / 2 for a, b in edges]).double()
        out = (p[outside].mean(0) - p[inside].mean(0)).double()
        u = torch.linalg.cross(out, torch.tensor([0.31, 0.57, 0.83], dtype=torch.float64))
        w = torch.linalg.cross(out, u)
        w, u = w / w.norm(), u / u.norm()
        d = points - points.mean(0)
        order = torch.atan2(d @ w, d @ u).argsort().tolist()
        polygons.append(smallest_first([edges[k] for k in order]))
    return sorted(polygons)


def smallest_first(loop: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    k = loop.index(min(loop))
    return tuple(loop[k:] + loop[:k])


def polygons(p: Tensor, sdf: Tensor, tets: Tensor) -> list[tuple[tuple[int, int], ...]]:
    """What ``extract`` gives tet by tet, its triangle pairs joined to quadrilaterals along the diagonal."""
    cache = marching_tets.tet_edges(tets)
    crossing = [e for e in cache.edges.tolist() if (sdf[e[0]] < 0) != (sdf[e[1]] < 0)]
    _, faces = marching_tets.extract(p, sdf, tets, cache)
    remaining = [[tuple(crossing[k]) for k in face] for face in faces.tolist()]
    sizes = [int((sdf[t] < 0).sum()) for t in tets]
    found = []
    for size in [s for s in sizes if s in (1, 2, 3)]:
        first = remaining.pop(0)
        if size == 2:
            second = remaining.pop(0)
            (tip,) = set(second) - set(first)
            after = second[(second.index(tip) + 1) % 3]
            first.insert(first.index(after), tip)
        found.append(smallest_first(first))
    assert not remaining
    return sorted(found)


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_reference_on_random_fields(seed: int) -> None:
    grid = bcc.grid(2, -1.0, 1.0)
    sdf = torch.randn(len(grid.vertices), generator=torch.Generator().manual_seed(seed))
    assert polygons(grid.vertices, sdf, grid.tets) == reference(grid.vertices, sdf, grid.tets)


@pytest.mark.parametrize("seed", range(3))
def test_random_fields_away_from_the_border_give_closed_meshes(seed: int) -> None:
    grid = bcc.grid(5, -1.0, 1.0)
    sdf = torch.randn(len(grid.vertices), generator=torch.Generator().manual_seed(seed))
    sdf[grid.vertices.abs().amax(dim=1) > 0.99] = 1.0
    _, faces = march(grid, sdf)
    assert len(faces) > 100
    assert closed_and_oriented(faces)


def test_gradients_match_finite_differences() -> None:
    grid = bcc.grid(2, -1.0, 1.0)
    generator = torch.Generator().manual_seed(1)
    vertices = grid.vertices.double() + 0.05 * torch.randn(grid.vertices.shape, generator=generator).double()
    sdf = torch.randn(len(vertices), generator=generator).double()
    sdf = sdf + 0.1 * sdf.sign()  # no sign flips within the differences
    cache = marching_tets.tet_edges(grid.tets)

    def positions(v: Tensor, s: Tensor) -> Tensor:
        return marching_tets.extract(v, s, grid.tets, cache)[0]

    assert torch.autograd.gradcheck(positions, (vertices.requires_grad_(), sdf.requires_grad_()))


def test_swapped_sign_turns_the_surface_over() -> None:
    grid = bcc.grid(8)
    sdf = torus(grid.vertices)
    v, f = march(grid, sdf)
    w, g = march(grid, -sdf)
    torch.testing.assert_close(v, w)
    assert area_and_volume(w, g)[1] == pytest.approx(-area_and_volume(v, f)[1], rel=0.02)
