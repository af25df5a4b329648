"""A surface's texture or colours → materials on the object that shows it."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Iterable

import bpy

from . import mesh_building
from .refined import Surface


def color_surface(mesh: bpy.types.Mesh, name: str, surface: Surface, *, pack: bool = False) -> None:
    """Show the surface's texture or colours; leaves the mesh's materials alone when it has neither."""
    own = mesh.materials[0] if len(mesh.materials) and not pack else None
    material = make_material(mesh, name, surface, own, pack=pack)
    if material is not None and own is None:
        use_only(mesh, material)


def make_material(
    mesh: bpy.types.Mesh, name: str, surface: Surface, own: bpy.types.Material | None = None, *, pack: bool = False
) -> bpy.types.Material | None:
    """A material that shows the surface's texture or colours, ``own`` where there is one; none without either."""
    pixels = surface.texture if surface.texture is not None else surface.colors
    if pixels is None:
        return None
    image = None
    if surface.texture is not None:
        image = mesh_building.fill_image(name, image_of(own), surface.texture)
        if pack:
            image.pack()
    elif surface.colors is not None:
        mesh_building.set_colors(mesh, surface.colors)
    material = mesh_building.fill_material(name, own, image)
    mesh_building.set_viewport_color(material, pixels)
    return material


def use_only(mesh: bpy.types.Mesh, material: bpy.types.Material) -> None:
    """One texture covers the whole surface; the slots stay so that their indices keep their meaning."""
    if not len(mesh.materials):
        mesh.materials.append(material)
    for index in range(len(mesh.materials)):
        mesh.materials[index] = material


def use_only_on(thing: bpy.types.Object, material: bpy.types.Material) -> None:
    """The same for an object, whose slots may have materials of their own: what the mesh has below those stays."""
    if not len(thing.material_slots):
        thing.data.materials.append(material)
    for slot in thing.material_slots:
        slot.material = material


def remove_unused(materials: Iterable[bpy.types.Material | None]) -> None:
    """Remove those of our materials that nobody uses any more, with their images."""
    ours = {material for material in materials if material is not None}
    # asked of the data itself: Blender's counter stays too high where an object's own slot had the material
    for material, users in bpy.data.user_map(subset=ours).items():
        if users:
            continue
        image = image_of(material)
        bpy.data.materials.remove(material)
        if image is not None and image.users == 0:
            bpy.data.images.remove(image)


def image_of(material: bpy.types.Material | None) -> bpy.types.Image | None:
    """The first image of a material's nodes."""
    if material is None or material.node_tree is None:
        return None
    return next((node.image for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage"), None)
