"""The renderer of training pictures: conventions, hidden surfaces, holes, untrusted winding."""

from __future__ import annotations

import numpy as np
import pytest
from maquette_backend.priors.starter.training.furniture_mesh import FurnitureMesh
from maquette_backend.priors.starter.training.rendering import render

SIDES = {"front": (2, 1), "back": (2, -1), "right": (0, 1), "left": (0, -1), "top": (1, 1), "bottom": (1, -1)}
COLORS = {
    "front": (255, 0, 0),
    "back": (0, 255, 0),
    "right": (0, 0, 255),
    "left": (255, 255, 0),
    "top": (0, 255, 255),
    "bottom": (255, 0, 255),
}


def box(flipped: bool = False, holes: tuple[str, ...] = ()) -> FurnitureMesh:
    """A unit cube with a colour on each side; y up, front at +Z."""
    positions, triangles, textures, texels = [], [], [], []
    for number, (name, (axis, sign)) in enumerate(SIDES.items()):
        corners = np.zeros((4, 3))
        corners[:, axis] = 0.5 * sign
        corners[:, (axis + 1) % 3] = [-0.5, 0.5, 0.5, -0.5]
        corners[:, (axis + 2) % 3] = [-0.5, -0.5, 0.5, 0.5]
        positions.append(corners)
        faces = np.array([[0, 1, 2], [0, 2, 3]]) + 4 * number
        triangles.append(faces[:, ::-1] if flipped else faces)
        textures += [(number, 1, 1, int(name in holes))]
        texels += [(*COLORS[name], 0 if name in holes else 255)]
    return FurnitureMesh(
        positions=np.concatenate(positions),
        triangles=np.concatenate(triangles).astype(np.int32),
        normals=np.zeros((1, 3)),
        corner_normals=np.full((12, 3), -1, np.int32),
        uvs=np.array([[0.5, 0.5]]),
        corner_uvs=np.zeros((12, 3), np.int32),
        face_texture=np.repeat(np.arange(6), 2).astype(np.int32),
        textures=np.array(textures, np.int64),
        texels=np.array(texels, np.float64),
        wooden=False,
    )


def middle_side(mesh: FurnitureMesh, azimuth_deg: float, elevation_deg: float = 0) -> str:
    pixel = render(mesh, azimuth_deg, elevation_deg, 2, 32).color[16, 16].astype(int)
    return next(name for name, color in COLORS.items() if ((pixel > 20) == (np.array(color) > 0)).all())


@pytest.mark.parametrize(("azimuth_deg", "side"), [(0, "front"), (90, "right"), (180, "back"), (270, "left")])
@pytest.mark.parametrize("flipped", [False, True])
def test_azimuth_goes_counter_clockwise_from_the_front(azimuth_deg: float, side: str, flipped: bool) -> None:
    assert middle_side(box(flipped), azimuth_deg) == side


def test_elevation_looks_down_from_above() -> None:
    assert middle_side(box(), 0, 89) == "top"


@pytest.mark.parametrize("flipped", [False, True])
def test_normals_are_in_camera_space_and_face_the_camera(flipped: bool) -> None:
    normal = render(box(flipped), 90, 0, 2, 32).normal[16, 16].astype(float) / 127.5 - 1
    assert normal == pytest.approx([0, 0, 1], abs=0.01)
    turned = render(box(flipped), 45, 0, 2, 32).normal[16, 22].astype(float) / 127.5 - 1
    assert turned == pytest.approx([np.sqrt(0.5), 0, np.sqrt(0.5)], abs=0.01)


def test_the_top_of_the_picture_is_up_and_the_background_is_mid_grey() -> None:
    picture = render(box(), 0, 30, 2.0, 32)
    column = picture.color[:, 16].astype(int)
    reds, cyans = np.nonzero((column[:, 0] > 100) & (column[:, 1] < 50))[0], np.nonzero(column[:, 0] < 50)[0]
    assert cyans.max() < reds.min()
    assert (picture.color[0, 0] == 128).all()
    assert (picture.normal[0, 0] == 128).all()


def test_what_is_cut_out_shows_what_is_behind() -> None:
    assert middle_side(box(holes=("front",)), 0) == "back"


def test_size_in_the_picture_is_that_of_a_pinhole() -> None:
    """The front of the cube, at distance 2.5 from the camera, spans 64 / (2·2.5·tan 20°) = 35.2 pixels."""
    covered = (np.abs(render(box(), 0, 0, 3.0, 64).normal.astype(int) - 128).max(-1) > 60).sum(1).max()
    assert covered == pytest.approx(64 / (2 * 2.5 * np.tan(np.radians(20))), abs=1)


def test_albedo_is_unshaded() -> None:
    assert np.unique(render(box(), 0, 0, 2, 32).albedo, axis=0).tolist() == [[1, 0, 0]]
