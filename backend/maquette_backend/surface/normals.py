"""Normals of triangles and of smooth surfaces."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor


def face_normals(positions: Tensor, triangles: Tensor) -> Tensor:
    """[V,3], [F,3] → [F,3], as long as twice the triangle's area."""
    a, b, c = (positions.index_select(0, triangles[:, k].long()) for k in range(3))
    return torch.linalg.cross(b - a, c - a)


def vertex_normals(positions: Tensor, triangles: Tensor) -> Tensor:
    """Area-weighted unit normals [V,3]; zero at a vertex without triangles."""
    normals = face_normals(positions, triangles).repeat_interleave(3, 0)
    total = torch.zeros_like(positions).index_add(0, triangles.long().reshape(-1), normals)
    return functional.normalize(total, dim=1, eps=1e-12)
