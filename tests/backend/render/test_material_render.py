"""Pictures of materials: against shading by hand at the same pixels, maps against a function, gradients."""

from functools import lru_cache

import torch
from maquette_backend.appearance.color_space import srgb_from_linear
from maquette_backend.appearance.material import Material
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.environment import Environment
from maquette_backend.render.environments import equirect_directions
from maquette_backend.render.lamps import Lamp
from maquette_backend.render.material_render import MappedMaterial, MaterialRendering, render_material
from maquette_backend.surface.tangents import tangent_frames
from torch import Tensor
from torch.nn.functional import normalize

from tests.backend.render.surfaces import ring_of_cameras, sphere

POSITIONS, TRIANGLES = sphere(16)
RASTERIZER, CAMERAS = choose_rasterizer("cpu"), ring_of_cameras(2)
NORMALS = normalize(POSITIONS, dim=1)


def display(radiance: Tensor) -> Tensor:
    return srgb_from_linear(radiance.clamp(0, 1))


def plain(count: int, albedo: Tensor, lean: float = 0.0) -> Material:
    normal = normalize(torch.tensor([[lean, 0.0, 1.0]]), dim=1).expand(count, 3)
    return Material(albedo.expand(count, 3), torch.full((count, 1), 0.6), torch.full((count, 1), 0.2), normal)


@lru_cache
def light() -> Environment:
    return Environment.from_equirect(0.5 + 0.4 * equirect_directions(16, 32))


def rendered(material, lamps: tuple[Lamp, ...] = (), environment: Environment | None = None) -> MaterialRendering:  # type: ignore[no-untyped-def]
    return render_material(
        RASTERIZER, POSITIONS, TRIANGLES, material, CAMERAS, 48, environment or light(), display=display, lamps=lamps
    )


def test_white_in_white_light_is_white_and_covered_where_the_ball_is() -> None:
    white = Environment.from_equirect(torch.full((8, 16, 3), 0.25))
    found = rendered(lambda points: plain(len(points), torch.ones(1)), environment=white)
    inside = found.images.mask[:, 0] == 1
    expected = float(display(torch.tensor(0.25))) * 2 - 1
    color = found.images.color.permute(0, 2, 3, 1)[inside]
    torch.testing.assert_close(color, torch.full_like(color, expected), atol=6e-3, rtol=0)
    assert 0.1 < float(found.images.mask.mean()) < 0.6
    assert float((found.normals * normalize(found.points, dim=1)).sum(1).min()) > 0.99


def test_a_lamp_adds_to_the_environment() -> None:
    matrix = torch.eye(4)
    matrix[:3, 2] = normalize(torch.tensor([0.3, -0.6, 0.7]), dim=0)
    dark, lit = (
        rendered(lambda points: plain(len(points), torch.tensor([0.5])), lamps).radiance
        for lamps in ((), (Lamp("sun", matrix, (1.0, 1.0, 1.0), 2.0),))
    )
    assert float((lit - dark).min()) >= 0
    assert float((lit - dark).max()) > 0.2


def test_maps_of_a_uniform_material_render_as_the_function_does() -> None:
    uvs = torch.rand(len(TRIANGLES), 3, 2, generator=torch.Generator().manual_seed(0))
    tangents = tangent_frames(POSITIONS, TRIANGLES, uvs, NORMALS)
    albedo = torch.tensor([0.2, 0.5, 0.7])
    mapped = MappedMaterial(lambda uv, level: plain(len(uv), albedo), (64, 64), uvs, tangents)
    one, two = rendered(mapped), rendered(lambda points: plain(len(points), albedo))
    torch.testing.assert_close(one.images.color, two.images.color)


def test_a_leaning_normal_leans_in_the_frame_of_the_uvs() -> None:
    around, up = torch.atan2(POSITIONS[:, 1], POSITIONS[:, 0]), POSITIONS[:, 2]
    uvs = torch.stack([around, up], -1)[TRIANGLES]
    wraps = (uvs[..., 0].amax(1) - uvs[..., 0].amin(1)) > 3
    uvs[wraps] = torch.stack([uvs[wraps][..., 0] % (2 * torch.pi), uvs[wraps][..., 1]], -1)
    tangents = tangent_frames(POSITIONS, TRIANGLES, uvs, NORMALS)
    found = rendered(MappedMaterial(lambda uv, level: plain(len(uv), torch.ones(1), 0.3), (64, 64), uvs, tangents))
    away = found.points[:, 2].abs() < 0.35
    east = normalize(torch.linalg.cross(torch.tensor([[0.0, 0, 1]]), found.points), dim=1)
    lean = (found.normals * east).sum(1)[away]
    torch.testing.assert_close(lean, torch.full_like(lean, 0.3 / 1.09**0.5), atol=0.01, rtol=0)


def test_the_gradient_in_the_albedo_is_the_numerical_one() -> None:
    weights = torch.randn(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))

    def value(albedo: Tensor) -> Tensor:
        return (rendered(lambda points: plain(len(points), albedo)).images.color * weights).sum()

    albedo = torch.tensor([0.3, 0.4, 0.5], requires_grad=True)
    (found,) = torch.autograd.grad(value(albedo), albedo)
    step = 1e-2
    for k in range(3):
        change = torch.zeros(3)
        change[k] = step
        numerical = (value(albedo.detach() + change) - value(albedo.detach() - change)) / (2 * step)
        assert abs(float(found[k] - numerical)) < 0.01 * abs(float(numerical)) + 0.05
