"""Tangent frames against those of Blender 4.5 (its ``calc_tangents``, MikkTSpace), and against closed forms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from maquette_backend.surface.tangents import frames_from_normals, leaning, leaning_freely, tangent_frames
from torch.nn.functional import normalize

BLENDER = Path(__file__).parent / "blender_tangents.npz"
"""A bumpy ball of 80 triangles with three islands, nearly half of it mirrored: what Blender gave for it."""


def test_tangents_are_blenders() -> None:
    with np.load(BLENDER, allow_pickle=False) as stored:
        mesh = {name: torch.from_numpy(stored[name]) for name in stored.files}
    found = tangent_frames(mesh["positions"], mesh["triangles"], mesh["corner_uvs"], mesh["normals"])
    theirs = mesh["tangents"]
    assert 0.1 < (theirs[..., 3] < 0).float().mean() < 0.9
    assert torch.equal(found[..., 3], theirs[..., 3])
    angles = torch.rad2deg(torch.arccos((found[..., :3] * theirs[..., :3]).sum(-1).clamp(-1, 1)))
    assert angles.max() < 0.2


def test_a_plane_has_its_uv_axes() -> None:
    positions = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    triangles = torch.tensor([[0, 1, 2], [0, 2, 3]])
    turned = positions[triangles][..., [1, 0]] * torch.tensor([1.0, -1.0])  # u along +y, v along −x
    up = torch.tensor([[0.0, 0, 1]]).expand(4, 3)
    frames = tangent_frames(positions, triangles, turned, up)
    torch.testing.assert_close(frames, torch.tensor([0.0, 1, 0, 1]).expand(2, 3, 4))
    mirrored = tangent_frames(positions, triangles, turned * torch.tensor([1.0, -1.0]), up)
    torch.testing.assert_close(mirrored, torch.tensor([0.0, 1, 0, -1]).expand(2, 3, 4))


def test_uvs_without_area_still_give_a_frame() -> None:
    positions = torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    frames = tangent_frames(positions, torch.tensor([[0, 1, 2]]), torch.zeros(1, 3, 2), torch.eye(3)[[2, 2, 2]])
    torch.testing.assert_close(frames[..., :3].norm(dim=-1), torch.ones(1, 3))
    torch.testing.assert_close(frames[..., 2], torch.zeros(1, 3))


def test_free_frames_are_right_handed_everywhere() -> None:
    normals = normalize(torch.randn(4000, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=1)
    normals = torch.cat([normals, torch.tensor([[0.0, 0, 1], [0, 0, -1], [1, 0, 0]], dtype=torch.float64)])
    side, up = frames_from_normals(normals)
    frame = torch.stack([side, up, normals], 1)
    identity = torch.eye(3, dtype=torch.float64).expand(len(normals), 3, 3)
    torch.testing.assert_close(frame @ frame.transpose(1, 2), identity, atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(frame), torch.ones(len(normals), dtype=torch.float64), atol=1e-6, rtol=0)


@pytest.mark.parametrize("free", [True, False])
def test_a_neutral_normal_is_the_surfaces_own_and_a_lean_has_its_angle(free: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    normals = normalize(torch.randn(50, 3, generator=generator), dim=1)
    side, _ = frames_from_normals(normals)
    tangents = torch.cat([side, torch.ones(50, 1)], 1)

    def lean(tangent_normal: torch.Tensor) -> torch.Tensor:
        return leaning_freely(tangent_normal, normals) if free else leaning(tangent_normal, normals, tangents)

    torch.testing.assert_close(lean(torch.tensor([[0.0, 0, 1]]).expand(50, 3)), normals)
    slanted = lean(torch.tensor([[0.6, 0.0, 0.8]]).expand(50, 3))
    torch.testing.assert_close((slanted * normals).sum(1), torch.full((50,), 0.8), atol=1e-5, rtol=0)
    torch.testing.assert_close((slanted * side).sum(1), torch.full((50,), 0.6), atol=1e-5, rtol=0)
