"""Baking: the compiled kernel against its readable twin, normals against the renderer's frames, seams at every mip."""

import numpy as np
import pytest
import torch
from maquette_backend.appearance.bake import bake_color
from maquette_backend.appearance.bake_kernel import FrozenField, TexelSurface, material_texels
from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.material import MaterialField, MaterialSettings
from maquette_backend.appearance.material_bake import bake_material
from maquette_backend.appearance.seams import mip_of, seam_report, shared_edges
from maquette_backend.appearance.uv_raster import surface_under_texels
from maquette_backend.fields.hash_grid import HashGridSettings
from maquette_backend.surface.normals import vertex_normals
from maquette_backend.surface.tangents import leaning, leaning_freely, tangent_frames
from torch.nn.functional import normalize

GRID = HashGridSettings(levels=5, log2_table=9, coarsest=4, finest=20)


def painted(mirror_x: bool = False) -> MaterialField:
    torch.manual_seed(0)
    field = MaterialField(MaterialSettings(metallic=0.4), GRID, mirror_x=mirror_x)
    with torch.no_grad():
        field.grid.table.normal_(0, 0.5)
        field.out.weight.normal_(0, 0.8)
    return field


def dome(cells: int = 10) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A dome of 2·cells² triangles over ±.4, cut into four islands that are moved, turned and mirrored in the texture."""
    axis = np.linspace(-0.4, 0.4, cells + 1)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    vertices = np.stack([x, y, 0.3 - x**2 - 0.7 * y**2], -1).reshape(-1, 3)
    corner = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = corner[:-1, :-1], corner[:-1, 1:], corner[1:, 1:], corner[1:, :-1]
    triangles = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    flat = vertices[triangles][..., :2]
    center = flat.mean(1)
    uvs = np.zeros_like(flat)
    for k, (sx, sy) in enumerate([(-1, -1), (1, -1), (-1, 1), (1, 1)]):
        mine = (center[:, 0] * sx > 0) & (center[:, 1] * sy > 0)
        local = (flat[mine] - np.array([sx, sy]) * 0.2) * 0.95
        local = local if k == 0 else local[..., ::-1] if k == 1 else local * np.array([1, -1]) if k == 2 else -local
        uvs[mine] = local + np.array([0.25 + 0.5 * (k % 2), 0.25 + 0.5 * (k // 2)])
    return vertices, uvs, triangles


@pytest.mark.parametrize("mirror_x", [False, True])
def test_the_kernel_computes_what_the_field_does(mirror_x: bool) -> None:
    field = painted(mirror_x)
    vertices, uvs, triangles = dome()
    images = bake_material(field, vertices, uvs, triangles, 96)
    owner, bary = surface_under_texels(uvs, 96)
    covered = owner >= 0
    points = torch.from_numpy(np.einsum("pk,pkj->pj", bary[covered], vertices[triangles[owner[covered]]])).float()
    with torch.no_grad():
        material = field(points)
    for found, expected in (
        (images.base_color, srgb_from_linear(material.albedo)),
        (images.roughness, material.roughness[:, 0]),
        (images.metallic, material.metallic[:, 0]),
    ):
        assert np.abs(found[covered] - 255 * expected.numpy()).max() < 0.52
        assert found[covered].std() > 5


def test_a_baked_normal_leans_in_the_world_as_the_fields_did() -> None:
    field = painted()
    vertices, uvs, triangles = dome()
    images = bake_material(field, vertices, uvs, triangles, 96)
    owner, bary = surface_under_texels(uvs, 96)
    covered = owner >= 0
    faces, positions = torch.from_numpy(triangles), torch.from_numpy(vertices).float()
    smooth = vertex_normals(positions, faces)
    frames = tangent_frames(positions, faces, torch.from_numpy(uvs).float(), smooth)
    weights = torch.from_numpy(bary[covered]).float()[..., None]
    mine = torch.from_numpy(owner[covered]).long()
    normals = normalize((smooth[faces[mine]] * weights).sum(1), dim=1)
    tangents = torch.cat([(frames[mine][..., :3] * weights).sum(1), frames[mine][:, 0, 3:]], 1)
    assert set(frames[:, 0, 3].tolist()) == {1.0, -1.0}
    stored = torch.from_numpy(images.normal[covered].astype(np.float32)) / 127.5 - 1
    with torch.no_grad():
        points = (positions[faces[mine]] * weights).sum(1)
        expected = leaning_freely(field(points).tangent_normal, normals)
    apart = torch.rad2deg(torch.arccos((leaning(stored, normals, tangents) * expected).sum(1).clamp(-1, 1)))
    assert float((expected * normals).sum(1).min()) < 0.95
    assert float(apart.max()) < 0.6


def test_a_field_without_leaning_gives_a_flat_normal_map() -> None:
    field = MaterialField(MaterialSettings(learns_normal=False), GRID)
    images = bake_material(field, *dome(), 64)
    assert (images.normal == np.array([128, 128, 255], np.uint8)).all()


def test_no_seam_shows_at_any_mip() -> None:
    """A smooth field: a step across seams is that inside islands; and no mip has a texel darker than the surface."""
    vertices, uvs, triangles = dome()
    edges = shared_edges(vertices, triangles, uvs)
    assert 10 < edges.seam.sum() < (~edges.seam).sum()
    field = MaterialField(MaterialSettings(), HashGridSettings(levels=2, log2_table=10, coarsest=2, finest=4))
    with torch.no_grad():
        field.grid.table.normal_(0, 1.5, generator=torch.Generator().manual_seed(1))
    images = bake_material(field, vertices, uvs, triangles, 256)
    owner, _ = surface_under_texels(uvs, 256)
    for name in ("base_color", "roughness"):
        image = getattr(images, name).reshape(256, 256, -1)
        low, high = image[owner >= 0].min(0), image[owner >= 0].max(0)
        for level in range(9):
            mip = mip_of(image, level)
            assert (mip >= low - 1e-9).all()
            assert (mip <= high + 1e-9).all()
    for level in range(4):  # an island is 15 texels wide in the last of them
        assert seam_report(images.base_color, edges, level).ratio < 1.1, level


def test_the_base_colour_is_that_of_the_plain_bake() -> None:
    field = painted()
    vertices, uvs, triangles = dome()
    plain = bake_color(lambda points: srgb_from_linear(field(points).albedo), vertices, uvs, triangles, 64)
    owner, _ = surface_under_texels(uvs, 64)
    difference = np.abs(plain.astype(int) - bake_material(field, vertices, uvs, triangles, 64).base_color)
    assert difference[owner >= 0].max() <= 1


def test_no_uv_area_gives_the_start_and_wrong_sizes_are_refused() -> None:
    vertices, uvs, triangles = dome()
    images = bake_material(MaterialField(grid=GRID), vertices, uvs * 0, triangles, 8)
    assert (images.roughness == round(255 * MaterialSettings().roughness)).all()
    with pytest.raises(ValueError, match="texture size"):
        bake_material(MaterialField(grid=GRID), vertices, uvs, triangles, 0)
    with pytest.raises(ValueError, match="do not fit"):
        bake_material(MaterialField(grid=GRID), vertices, uvs[1:], triangles, 8)


def test_every_core_fills_its_own_rows() -> None:
    vertices, uvs, triangles = dome()
    owner, _ = surface_under_texels(uvs, 33)
    corners = np.concatenate([vertices[triangles]] * 3, -1).astype(np.float32)
    texels = uvs * 33.0
    surface = TexelSurface(owner, np.ascontiguousarray(texels), corners, np.ones(len(triangles), np.float32))
    filled = material_texels(FrozenField.of(painted()), surface)
    assert ((filled[..., 0] > 0) == (owner >= 0)).all()
