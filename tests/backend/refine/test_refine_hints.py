"""ControlNets' pictures: depth against the camera's own geometry, normals as colours of the directions they face."""

from __future__ import annotations

import math

import torch
from maquette_backend.priors.prior import Views
from maquette_backend.refine.hints import depth_picture, normal_picture
from maquette_backend.refine.painting import plain_paint
from maquette_backend.refine.viewpoints import FOV_Y, cameras_for
from maquette_backend.render.choose import choose_rasterizer
from maquette_backend.render.scene_render import SceneObject, SceneRendering, lay_out, render_scene
from maquette_backend.render.shading import HeadLight
from torch import Tensor

SIZE = 48


def drawn(corners: Tensor, azimuth: float = 0.0, elevation: float = 0.0) -> SceneRendering:
    """A quad of four corners [4,3], counter-clockwise from outside, from a camera at distance 2."""
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    one = torch.tensor([1.0])
    views = Views(one * azimuth, one * elevation, one * 2, one * FOV_Y)
    paint = plain_paint((0.5, 0.5, 0.5), HeadLight().shade)
    scene = lay_out([SceneObject(corners, faces, corners)])
    return render_scene(choose_rasterizer("cpu"), scene, (paint,), cameras_for(views), SIZE)


def leaning(turn: float, *, upwards: bool = False) -> Tensor:
    """A square that faces −Y, turned: its right side away from the viewer, or its top."""
    half = 0.4
    square = torch.tensor([[-half, 0, -half], [half, 0, -half], [half, 0, half], [-half, 0, half]])
    c, s = math.cos(turn), math.sin(turn)
    about_x = [[1.0, 0, 0], [0, c, s], [0, -s, c]]
    about_z = [[c, -s, 0], [s, c, 0], [0, 0, 1.0]]
    return square @ torch.tensor(about_x if upwards else about_z).T


def test_normals_are_red_to_the_left_green_up_and_blue_to_the_viewer() -> None:
    flat = normal_picture(drawn(leaning(0.0)))
    middle = (0, slice(None), SIZE // 2, SIZE // 2)
    torch.testing.assert_close(flat[middle], torch.tensor([0.5, 0.5, 1.0]), atol=1e-4, rtol=0)
    to_the_right = normal_picture(drawn(leaning(0.6)))[middle]
    to_the_left = normal_picture(drawn(leaning(-0.6)))[middle]
    s, c = math.sin(0.6), math.cos(0.6)
    torch.testing.assert_close(to_the_right, torch.tensor([0.5 - s / 2, 0.5, 0.5 + c / 2]), atol=1e-4, rtol=0)
    torch.testing.assert_close(to_the_left, torch.tensor([0.5 + s / 2, 0.5, 0.5 + c / 2]), atol=1e-4, rtol=0)
    up = normal_picture(drawn(leaning(0.6, upwards=True)))[middle]
    torch.testing.assert_close(up, torch.tensor([0.5, 0.5 + s / 2, 0.5 + c / 2]), atol=1e-4, rtol=0)


def test_the_background_faces_the_viewer_and_is_infinitely_far_off() -> None:
    seen = drawn(leaning(0.3))
    corner = (0, slice(None), 0, 0)
    torch.testing.assert_close(normal_picture(seen)[corner], torch.tensor([0.5, 0.5, 1.0]))
    assert torch.equal(depth_picture(seen)[corner], torch.zeros(3))


def test_normals_are_the_views_and_not_the_worlds() -> None:
    """The same square from a camera that went round with it."""
    turned = drawn(leaning(0.5), azimuth=0.5)
    middle = (0, slice(None), SIZE // 2, SIZE // 2)
    torch.testing.assert_close(normal_picture(turned)[middle], torch.tensor([0.5, 0.5, 1.0]), atol=1e-4, rtol=0)


def test_depth_is_the_inverse_of_the_distance_along_the_axis() -> None:
    """Of a plane it is affine over the picture (its projection), exactly; the nearest pixel is 1."""
    seen = drawn(leaning(0.7))
    inside = seen.depth[0, 0] > 0
    column = inside.nonzero()[:, 1]
    x = (column + 0.5) / SIZE * 2 - 1
    tangent = math.tan(FOV_Y / 2)
    # a ray's point at depth d is (x·tan·d, …, 2 − …): on the plane y = tan(0.7)·x, so 2 − d = −y …
    expected = (1 - x * tangent * math.tan(0.7)) / 2
    torch.testing.assert_close(1 / seen.depth[0, 0][inside], expected, atol=2e-3, rtol=0)
    picture = depth_picture(seen)[0, 0]
    torch.testing.assert_close(picture[inside], expected / expected.max(), atol=2e-3, rtol=0)
    assert picture.max() == 1
    assert picture[inside].min() > 0
    left, right = picture[SIZE // 2, column.min() + 1], picture[SIZE // 2, column.max() - 1]
    assert left > right, "its right side leans away"
