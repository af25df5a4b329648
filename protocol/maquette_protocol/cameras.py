"""Which of an artist's cameras see a subject."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import ErrorCode, MaquetteError
from .recipe import Camera

_BOX_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
"""Faces of a box whose corner ``4i+2j+k`` is at (low, high)[i], [j], [k] of x, y, z."""


def cameras_that_see(cameras: Sequence[Camera], world_points: ArrayLike) -> tuple[str, ...]:
    """Names of the cameras whose view contains part of the points' bounding box.

    Exact for the box: it is clipped by the planes of the view, so a subject that fills the whole
    picture, or only crosses a corner of it, counts as seen. Occlusion does not count.

    Args:
        cameras: with invertible matrices (``checks.check_recipe``).
        world_points: float [points, 3], world space, metres.
    """
    points = np.asarray(world_points, dtype=np.float64).reshape(-1, 3)
    if len(points) == 0:
        return ()
    corners = _corners(points.min(axis=0), points.max(axis=0))
    return tuple(camera.name for camera in cameras if _sees_box(camera, corners))


def check_seen(subject: str, cameras: Sequence[Camera], world_points: ArrayLike) -> None:
    """Raise ``no_camera_sees`` naming the subject when it is in view of none of the cameras.

    No cameras at all is no error here: then the automatic orbit looks (``checks.check_recipe``).
    """
    if cameras and not cameras_that_see(cameras, world_points):
        names = ", ".join(f"“{camera.name}”" for camera in cameras[:4]) + (" …" if len(cameras) > 4 else "")
        raise MaquetteError(
            ErrorCode.NO_CAMERA_SEES,
            f"“{subject}” is in view of none of the {len(cameras)} cameras ({names}).",
            "Turn a camera towards it, or choose the automatic orbit.",
        )


def _corners(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """[8, 3]"""
    ends = np.stack([low, high])
    return np.array([[ends[i, 0], ends[j, 1], ends[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])


def _sees_box(camera: Camera, corners: NDArray[np.float64]) -> bool:
    """True when the box, clipped by the four sides of the view pyramid, leaves something.

    A face left over means that the box's surface is in view. None left over means that the box is out
    of view, as a box around the apex cannot hide its whole surface from an unbounded pyramid.
    """
    world_from_camera = np.array(camera.world_from_camera, dtype=np.float64).reshape(4, 4)
    homogeneous = np.concatenate([corners, np.ones((8, 1))], axis=1)
    inside = (np.linalg.inv(world_from_camera) @ homogeneous.T).T[:, :3]
    return any(_clipped_leaves(inside[list(face)], _view_planes(camera)) for face in _BOX_FACES)


def _view_planes(camera: Camera) -> NDArray[np.float64]:
    """Inward normals [5, 3], camera space: ahead, and the four sides; all pass through the apex."""
    up = np.tan(camera.fov_y / 2)
    side = up * camera.aspect
    return np.array([[0, 0, -1], [1, 0, -side], [-1, 0, -side], [0, 1, -up], [0, -1, -up]], dtype=np.float64)


def _clipped_leaves(polygon: NDArray[np.float64], planes: NDArray[np.float64]) -> bool:
    """Sutherland and Hodgman (1974): whether a polygon [n, 3] has a part inside all planes."""
    for normal in planes:
        heights = polygon @ normal
        kept: list[NDArray[np.float64]] = []
        for at in range(len(polygon)):
            here, there = heights[at], heights[(at + 1) % len(polygon)]
            if here > 0:
                kept.append(polygon[at])
            if here * there < 0:
                kept.append(polygon[at] + (polygon[(at + 1) % len(polygon)] - polygon[at]) * (here / (here - there)))
        if not kept:
            return False
        polygon = np.array(kept)
    return True
