"""Renders furniture to small pictures of colour, camera-space normals and coverage: a z-buffer in numba.

Its own small renderer and not the differentiable one, because training pictures need what that one has no use
for: untrusted winding, textures with holes, and speed over derivatives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from maquette_backend.priors.starter.training.furniture_mesh import FurnitureMesh
from maquette_backend.priors.starter.training.viewpoints import Viewpoint, camera_from_world

_SUPERSAMPLING = 2
_NEAR = 0.05
_LIGHT = np.array([-0.45, 0.60, 0.66]) / np.linalg.norm([-0.45, 0.60, 0.66])
"""Direction to the light in camera space: over the left shoulder."""


@dataclass(frozen=True)
class Picture:
    color: NDArray[np.uint8]  # [size,size,3] row 0 at the top, mid grey background
    normal: NDArray[np.uint8]
    """[size,size,3]: camera-space normal (right, up, towards the camera) as 127.5 + 127.5·n, background 128."""
    coverage: NDArray[np.uint8]
    """[size,size]: the share of the pixel that the object covers, 0..255."""
    albedo: NDArray[np.float64]  # [P,3] unshaded colours 0..1 of the covered samples
    material: NDArray[np.int32]  # [P] rows of the mesh's textures

    def channels(self) -> NDArray[np.uint8]:
        """[7,size,size]: colour RGB, normal xyz, coverage."""
        return np.concatenate([self.color, self.normal, self.coverage[..., None]], -1).transpose(2, 0, 1)


def render(mesh: FurnitureMesh, viewpoint: Viewpoint, size: int) -> Picture:
    """One picture from an orbit camera, ``size`` pixels square."""
    samples = size * _SUPERSAMPLING
    camera = camera_from_world(viewpoint.azimuth_deg, viewpoint.elevation_deg)
    seen = mesh.positions @ camera.T
    seen[:, 2] -= viewpoint.distance
    face = np.full((samples, samples), -1, np.int32)
    weights = np.zeros((samples, samples, 3))
    focal = 1 / math.tan(math.radians(viewpoint.fov_y_deg) / 2)
    surface = (mesh.uvs, mesh.corner_uvs, mesh.face_texture, mesh.textures, mesh.texels)
    _rasterize(seen, mesh.triangles, *surface, focal, face, weights, np.zeros((samples, samples)))
    color, normal, albedo = (np.full((samples, samples, 3), 0.5) for _ in range(3))
    shading = (camera, mesh.triangles, mesh.normals, mesh.corner_normals)
    _shade(seen, *shading, *surface, _LIGHT, face, weights, color, normal, albedo)
    covered = face >= 0
    return Picture(
        color=_downsample(color, size),
        normal=_downsample(normal, size),
        coverage=_downsample(covered[..., None].astype(np.float64), size)[..., 0],
        albedo=albedo[covered],
        material=mesh.face_texture[face[covered]],
    )


def _downsample(picture: NDArray[np.float64], size: int) -> NDArray[np.uint8]:
    blocks = picture.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, -1)
    return (blocks.mean((1, 3)) * 255 + 0.5).astype(np.uint8)


@numba.njit(cache=True, nogil=True, inline="always")
def _texel(weights, face, uvs, corner_uvs, texture):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Index into the texel buffer at a surface point, textures repeated."""
    u = v = 0.0
    for corner in range(3):
        u += weights[corner] * uvs[corner_uvs[face, corner], 0]
        v += weights[corner] * uvs[corner_uvs[face, corner], 1]
    width, height = texture[1], texture[2]
    column = min(width - 1, int((u - math.floor(u)) * width))
    row = min(height - 1, int((1.0 - (v - math.floor(v))) * height))
    return texture[0] + row * width + column


@numba.njit(cache=True, nogil=True)
def _rasterize(seen, triangles, uvs, corner_uvs, face_texture, textures, texels, focal, face, weights, nearest):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Fills ``face`` [S,S] (−1: none) and perspective-correct ``weights`` [S,S,3] of the nearest surface.

    ``seen`` [V,3] are camera-space positions (the camera looks along −Z); ``nearest`` [S,S] holds 1/depth.
    """
    height, width = face.shape
    half_w, half_h = 0.5 * width, 0.5 * height
    point = np.zeros(3)
    for f in range(triangles.shape[0]):
        i0, i1, i2 = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        z0, z1, z2 = -seen[i0, 2], -seen[i1, 2], -seen[i2, 2]
        if z0 < _NEAR or z1 < _NEAR or z2 < _NEAR:
            continue
        x0 = half_w + seen[i0, 0] / z0 * focal * half_w - 0.5
        y0 = half_h - seen[i0, 1] / z0 * focal * half_h - 0.5
        x1 = half_w + seen[i1, 0] / z1 * focal * half_w - 0.5
        y1 = half_h - seen[i1, 1] / z1 * focal * half_h - 0.5
        x2 = half_w + seen[i2, 0] / z2 * focal * half_w - 0.5
        y2 = half_h - seen[i2, 1] / z2 * focal * half_h - 0.5
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        left, right = max(0, math.ceil(min(x0, x1, x2))), min(width - 1, math.floor(max(x0, x1, x2)))
        top, bottom = max(0, math.ceil(min(y0, y1, y2))), min(height - 1, math.floor(max(y0, y1, y2)))
        texture = textures[face_texture[f]]
        inverse = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                b1 = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) * inverse
                b2 = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) * inverse
                b0 = 1.0 - b1 - b2
                if b0 < 0 or b1 < 0 or b2 < 0:
                    continue
                a0, a1, a2 = b0 / z0, b1 / z1, b2 / z2
                closeness = a0 + a1 + a2
                if closeness <= nearest[y, x]:
                    continue
                point[0], point[1], point[2] = a0 / closeness, a1 / closeness, a2 / closeness
                # leaves are often painted on cards with holes: what is cut out must not hide what is behind
                if texture[3] == 1 and texels[_texel(point, f, uvs, corner_uvs, texture), 3] < 100:
                    continue
                nearest[y, x] = closeness
                face[y, x] = f
                weights[y, x] = point


@numba.njit(cache=True, nogil=True)
def _shade(
    seen,
    camera_from_world,
    triangles,
    normals,
    corner_normals,
    uvs,
    corner_uvs,
    face_texture,
    textures,
    texels,
    light,
    face,
    weights,
    color,
    normal,
    albedo,
):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Colours, normals (both 0..1) and albedo [S,S,3] of all covered samples; others keep their background."""
    for y in range(face.shape[0]):
        for x in range(face.shape[1]):
            f = face[y, x]
            if f < 0:
                continue
            w = weights[y, x]
            n = _facing_normal(seen, camera_from_world, triangles[f], normals, corner_normals[f], w)
            world_up = camera_from_world[0, 1] * n[0] + camera_from_world[1, 1] * n[1] + camera_from_world[2, 1] * n[2]
            lambert = max(0.0, n[0] * light[0] + n[1] * light[1] + n[2] * light[2])
            shade = 0.40 + 0.40 * lambert + 0.25 * (0.5 + 0.5 * world_up)
            texel = _texel(w, f, uvs, corner_uvs, textures[face_texture[f]])
            for c in range(3):
                albedo[y, x, c] = texels[texel, c] / 255.0
                color[y, x, c] = min(1.0, albedo[y, x, c] * shade)
                normal[y, x, c] = 0.5 + 0.5 * n[c]


@numba.njit(cache=True, nogil=True)
def _facing_normal(seen, camera_from_world, triangle, normals, corner_normals, w):  # type: ignore[no-untyped-def]  # pragma: no cover
    """Unit normal [3] in camera space at a surface point, turned towards the camera: winding can't be trusted."""
    a, b, c = seen[triangle[0]], seen[triangle[1]], seen[triangle[2]]
    flat = np.cross(b - a, c - a)
    point = w[0] * a + w[1] * b + w[2] * c
    if flat[0] * point[0] + flat[1] * point[1] + flat[2] * point[2] > 0:
        flat = -flat
    flat = flat / (np.sqrt((flat * flat).sum()) + 1e-12)
    if corner_normals[0] < 0:
        return flat
    smooth = camera_from_world @ (
        w[0] * normals[corner_normals[0]] + w[1] * normals[corner_normals[1]] + w[2] * normals[corner_normals[2]]
    )
    length = np.sqrt((smooth * smooth).sum())
    if length <= 1e-6:
        return flat
    smooth = smooth / length
    return -smooth if smooth[0] * flat[0] + smooth[1] * flat[1] + smooth[2] * flat[2] < 0 else smooth
