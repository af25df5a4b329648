"""Reads Wavefront OBJ and MTL files as they are found in the wild: polygons, negative indices, missing parts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

MAX_TRIANGLES = 2_000_000


@dataclass(frozen=True)
class Material:
    color: tuple[float, float, float] = (0.8, 0.8, 0.8)
    """Diffuse colour, sRGB 0..1."""
    opacity: float = 1.0
    texture: str | None = None
    """File name of the diffuse texture, relative to the OBJ."""


@dataclass(frozen=True)
class ObjFile:
    positions: NDArray[np.float64]  # [V,3]
    uvs: NDArray[np.float64]  # [T,2]
    normals: NDArray[np.float64]  # [N,3]
    corners: NDArray[np.int64]
    """[F,3,3]: for each triangle corner the position, uv and normal index; out of range (often −1) means none."""
    face_material: NDArray[np.int32]  # [F], into material_names
    material_names: tuple[str, ...]
    parts: tuple[str, ...]
    """Names of its groups and objects, sorted."""
    libraries: tuple[str, ...]
    """MTL files it names, relative to the OBJ."""


def parse_obj(text: str) -> ObjFile:
    """Triangles (polygons as fans) of an OBJ file. Raises ValueError on what can't be read, or has no faces."""
    rows: dict[str, list[str]] = {"v": [], "vt": [], "vn": []}
    polygons: list[list[str]] = []
    polygon_material: list[str] = []
    libraries: list[str] = []
    parts: set[str] = set()
    material = ""
    for line in text.splitlines():
        keyword, rest = _statement(line)
        if keyword in rows:
            rows[keyword].append(rest)
        elif keyword == "f":
            polygons.append(rest.split())
            polygon_material.append(material)
        elif keyword == "usemtl":
            material = rest
        elif keyword in ("g", "o"):
            parts.add(rest)
        elif keyword == "mtllib":
            libraries.append(rest)
    names = sorted(set(polygon_material))
    sizes = {"v": len(rows["v"]), "vt": len(rows["vt"]), "vn": len(rows["vn"])}
    corners, fan_sizes = _fan_corners(polygons, (sizes["v"], sizes["vt"], sizes["vn"]))
    numbers = {name: number for number, name in enumerate(names)}
    per_polygon = np.array([numbers[name] for name in polygon_material], np.int32)
    return ObjFile(
        positions=_table(rows["v"], 3),
        uvs=_table(rows["vt"], 2),
        normals=_table(rows["vn"], 3),
        corners=corners,
        face_material=np.repeat(per_polygon, fan_sizes),
        material_names=tuple(names),
        parts=tuple(sorted(parts)),
        libraries=tuple(libraries),
    )


def parse_mtl(text: str) -> dict[str, Material]:
    """Materials by name. Statements it doesn't know are skipped."""
    materials: dict[str, Material] = {}
    name: str | None = None
    for line in text.splitlines():
        keyword, rest = _statement(line)
        if keyword == "newmtl":
            name = " ".join(rest.split())
            materials[name] = Material()
        elif name is not None and rest:
            materials[name] = _with_statement(materials[name], keyword, rest)
    return materials


def _statement(line: str) -> tuple[str, str]:
    keyword, *rest = line.split(None, 1)[:2] or [""]
    return keyword, rest[0].rstrip() if rest else ""


def _with_statement(material: Material, keyword: str, rest: str) -> Material:
    if keyword == "Kd":
        red, green, blue = (float(part) for part in rest.split()[:3])
        return replace(material, color=(red, green, blue))
    if keyword == "d":
        return replace(material, opacity=float(rest.split()[-1]))
    if keyword == "map_Kd":
        # options such as "-s 2 2 2" come first, then the file; without options the name may hold blanks
        return replace(material, texture=rest.split()[-1] if f" {rest}".find(" -") >= 0 else rest)
    return material


def _fan_corners(polygons: list[list[str]], sizes: tuple[int, int, int]) -> tuple[NDArray[np.int64], list[int]]:
    """Corners [F,3,3] of the fans of all polygons, zero-based, and how many triangles each polygon gave."""
    fan_sizes = [max(0, len(polygon) - 2) for polygon in polygons]
    if not 0 < sum(fan_sizes) <= MAX_TRIANGLES:
        raise ValueError(f"an OBJ file with {sum(fan_sizes)} triangles")
    tokens = [
        token
        for polygon in polygons
        for second in range(1, len(polygon) - 1)
        for token in (polygon[0], polygon[second], polygon[second + 1])
    ]
    corners = np.array([_indices(token) for token in tokens], np.int64)
    # OBJ counts from 1, and from the end with negative numbers; 0 stands for "none" and becomes −1
    corners = np.where(corners < 0, corners + np.array(sizes), corners - 1)
    return corners.reshape(-1, 3, 3), fan_sizes


def _indices(token: str) -> tuple[int, int, int]:
    """``v``, ``v/vt``, ``v//vn`` or ``v/vt/vn`` → three numbers, 0 for what is missing."""
    parts = [int(part) if part else 0 for part in token.split("/")]
    position, uv, normal = (*parts, 0, 0)[:3]
    return position, uv, normal


def _table(rows: list[str], columns: int) -> NDArray[np.float64]:
    """Numbers [rows,columns]; further columns (weights, colours) are dropped."""
    return np.array([row.split()[:columns] for row in rows], np.float64).reshape(len(rows), columns)
