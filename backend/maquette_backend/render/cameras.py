"""Cameras: Z up, azimuth 0 in front (at −Y), a camera looks along its own −Z with +Y up."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Cameras:
    """N cameras."""

    camera_from_world: Tensor
    """[N,4,4] rigid"""
    clip_from_camera: Tensor
    """[N,4,4] or [4,4], OpenGL clip space"""

    @property
    def clip_from_world(self) -> Tensor:
        """[N,4,4]"""
        return clip_from_world(self.camera_from_world, self.clip_from_camera)


def look_at(eye: Tensor, target: Tensor, up: Tensor) -> Tensor:
    """camera_from_world [...,4,4] of a camera at ``eye`` [...,3] looking at ``target``, ``up`` shown upwards.

    Raises ValueError if a view direction has no length or runs along ``up``.
    """
    eye, target, up = torch.broadcast_tensors(eye, target, up)
    backward = eye - target
    right = torch.linalg.cross(up, backward)
    if bool((right.norm(dim=-1) <= 1e-6 * backward.norm(dim=-1) * up.norm(dim=-1)).any()):
        raise ValueError("a camera looks along its up direction or sits on its target; give another up or eye")
    right = right / right.norm(dim=-1, keepdim=True)
    backward = backward / backward.norm(dim=-1, keepdim=True)
    return _rigid(right, torch.linalg.cross(backward, right), backward, eye)


def orbit_camera(azimuth: Tensor, elevation: Tensor, distance: Tensor, target: Tensor | None = None) -> Tensor:
    """camera_from_world [...,4,4] of cameras around ``target`` [...,3] (the origin by default).

    Angles in radians. Azimuth 0 stands at −Y and looks along +Y, growing counter-clockwise seen from above (90° = at
    +X); elevation is above the horizon and may be ±90° (the image's right stays that of the azimuth).
    """
    azimuth, elevation, distance = torch.broadcast_tensors(azimuth, elevation, distance)
    sa, ca, se, ce = azimuth.sin(), azimuth.cos(), elevation.sin(), elevation.cos()
    backward = torch.stack([sa * ce, -ca * ce, se], -1)
    right = torch.stack([ca, sa, torch.zeros_like(sa)], -1)
    eye = backward * distance[..., None]
    if target is not None:
        eye = eye + target
    return _rigid(right, torch.linalg.cross(backward, right), backward, eye)


def _rigid(right: Tensor, up: Tensor, backward: Tensor, eye: Tensor) -> Tensor:
    """camera_from_world [...,4,4] from the camera's axes and position in the world, each [...,3]."""
    rotation = torch.stack([right, up, backward], -2)
    shift = -(rotation @ eye[..., None])
    top = torch.cat([rotation, shift], -1)
    bottom = torch.zeros_like(top[..., :1, :])
    bottom[..., 3] = 1
    return torch.cat([top, bottom], -2)


def perspective(fov_y: Tensor, aspect: float = 1.0, near: float = 0.1, far: float = 100.0) -> Tensor:
    """clip_from_camera [...,4,4] as OpenGL: z/w is −1 at ``near`` and 1 at ``far``.

    ``fov_y`` [...] radians, ``aspect`` is width / height. Raises ValueError unless 0 < near < far.
    """
    if not 0 < near < far:
        raise ValueError(f"near {near} and far {far} must satisfy 0 < near < far")
    focal = 1 / torch.tan(fov_y / 2)
    matrix = torch.zeros(*fov_y.shape, 4, 4, dtype=focal.dtype, device=focal.device)
    matrix[..., 0, 0] = focal / aspect
    matrix[..., 1, 1] = focal
    matrix[..., 2, 2] = -(far + near) / (far - near)
    matrix[..., 2, 3] = -2 * far * near / (far - near)
    matrix[..., 3, 2] = -1
    return matrix


def clip_from_world(camera_from_world: Tensor, clip_from_camera: Tensor) -> Tensor:
    """[...,4,4]"""
    return clip_from_camera @ camera_from_world


def to_clip(positions: Tensor, clip_from_world: Tensor) -> Tensor:
    """World positions [V,3] or [N,V,3] under matrices [N,4,4] → clip positions [N,V,4]."""
    return positions @ clip_from_world[:, :, :3].transpose(-1, -2) + clip_from_world[:, None, :, 3]
