"""Image-based lighting as a product of two averages: of the light over a lobe, and of the material over all light
(Karis 2013, "Real Shading in Unreal Engine 4").

Three things beyond the original make it agree with a path tracer of Blender's Principled BSDF: the lobe's mean direction
and width are those of the true lobe for each view angle, light that bounces between microfacets is not lost
(Kulla and Conty 2017; Turquin 2019), and the matt layer receives what the glossy one above it lets through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from maquette_backend.render import brdf_table
from maquette_backend.render.brdf_table import TableEntry
from maquette_backend.render.environment import Environment

F0 = 0.04
"""Reflectance of a dielectric of index 1.5 seen head-on."""


class SurfaceMaterial(Protocol):
    """The metallic-roughness material of P points."""

    @property
    def albedo(self) -> Tensor:
        """[P,3] linear, 0..1"""
        ...

    @property
    def roughness(self) -> Tensor:
        """[P,1]"""
        ...

    @property
    def metallic(self) -> Tensor:
        """[P,1]"""
        ...

    @property
    def tangent_normal(self) -> Tensor:
        """[P,3]"""
        ...


@dataclass(frozen=True)
class Reflectances:
    """What a material sends on of the light it gets, and where to look that light up."""

    matt: Tensor
    """[P,3] share of irradiance / π"""
    glossy: Tensor
    """[P,3] share of the mean radiance over the lobe"""
    coat_gain: Tensor
    """[P,1] light after all bounces over light after the first, for the dielectric's glossy layer"""
    metal_gain: Tensor
    """[P,3] the same for metal"""
    entry: TableEntry

    @classmethod
    def of(cls, material: SurfaceMaterial, cosine: Tensor) -> Reflectances:
        """For cosines [P,1] of the angle between normal and view, as Blender's Principled BSDF blends its layers."""
        entry = brdf_table.look_up(cosine, material.roughness)
        coat_gain, metal_gain = _gain(entry, torch.full_like(cosine, F0)), _gain(entry, material.albedo)
        coat = (F0 * entry.scale + entry.bias) * coat_gain
        metal = (material.albedo * entry.scale + entry.bias) * metal_gain
        insulating = 1 - material.metallic
        matt = material.albedo * (insulating * (1 - coat))
        return cls(matt, insulating * coat + material.metallic * metal, coat_gain, metal_gain, entry)


def _gain(entry: TableEntry, f0: Tensor) -> Tensor:
    """How much stronger reflections are for what bounces more than once (Turquin 2019, equation 16); later bounces are
    tinted after Kulla and Conty 2017."""
    single = (entry.scale + entry.bias).clamp(min=1e-4)
    mean_fresnel = f0 + (1 - f0) / 21
    tint = mean_fresnel * entry.mean_albedo / (1 - mean_fresnel * (1 - entry.mean_albedo))
    return 1 + tint * (1 - single) / single


def shade(material: SurfaceMaterial, normals: Tensor, view_directions: Tensor, environment: Environment) -> Tensor:
    """Radiance [P,3], linear, that P points send to the viewer under ``environment``.

    ``normals`` [P,3] unit, world space, already leaning as the material says; ``view_directions`` [P,3] unit, towards the
    viewer. Differentiable in the material, normals and directions. Nothing is shadowed.
    """
    cosine = (normals * view_directions).sum(-1, keepdim=True)
    terms = Reflectances.of(material, cosine.clamp(min=0))
    mirror = 2 * cosine * normals - view_directions
    light = [
        environment.specular(mirror + share * (normals - mirror), terms.entry.width)
        for share in (terms.entry.near, terms.entry.far)
    ]
    return terms.matt * environment.diffuse(normals) + terms.glossy * (0.5 * (light[0] + light[1]))
