"""A surface's texture or colours → materials on the object that shows it."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

from collections.abc import Collection, Iterable

import bpy

from . import map_arrival, mesh_building, surface_maps, surface_material
from .refined import Surface


def color_surface(
    mesh: bpy.types.Mesh, name: str, surface: Surface, *, pack: bool = False, slots: Collection[int] = ()
) -> None:
    """Show the surface's texture or colours; leaves the mesh's materials alone when it has neither.

    ``slots``: those that are covered; none: all.
    """
    own = mesh.materials[0] if len(mesh.materials) and not pack else None
    material = make_material(mesh, name, surface, own, pack=pack)
    if material is not None and own is None:
        use_only(mesh, material, slots)


def make_material(
    mesh: bpy.types.Mesh, name: str, surface: Surface, own: bpy.types.Material | None = None, *, pack: bool = False
) -> bpy.types.Material | None:
    """A material that shows the surface's maps, texture or colours; ``own`` where there is one and no maps are.

    None without any of them. Maps are read by the mesh's active UV layer.
    """
    if surface.maps is not None:
        return _material_of_maps(mesh, name, surface.maps)
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


def _material_of_maps(mesh: bpy.types.Mesh, name: str, maps: surface_maps.SurfaceMaps) -> bpy.types.Material:
    images = map_arrival.images_of(name, maps)
    layer = mesh.uv_layers.active
    material = surface_material.make(name, images, "" if layer is None else layer.name)
    material.diffuse_color = (*surface_maps.mean_color(maps), 1.0)
    return material


def use_only(mesh: bpy.types.Mesh, material: bpy.types.Material, slots: Collection[int] = ()) -> None:
    """One texture covers the whole surface, or some ``slots``; they stay so that their indices keep their meaning."""
    if not len(mesh.materials):
        mesh.materials.append(material)
    for index in range(len(mesh.materials)):
        if not slots or index in slots:
            mesh.materials[index] = material


def use_only_on(thing: bpy.types.Object, material: bpy.types.Material, slots: Collection[int] = ()) -> None:
    """The same for an object, whose slots may have materials of their own: what the mesh has below those stays.

    ``slots``: those that are covered; none: all.
    """
    if not len(thing.material_slots):
        thing.data.materials.append(material)
    for index, slot in enumerate(thing.material_slots):
        if not slots or index in slots:
            slot.material = material


def remove_unused(materials: Iterable[bpy.types.Material | None]) -> None:
    """Remove those of our materials that nobody uses any more, with their images."""
    ours = {material for material in materials if material is not None}
    # asked of the data itself: Blender's counter stays too high where an object's own slot had the material
    for material, users in bpy.data.user_map(subset=ours).items():
        if users:
            continue
        images = images_of(material)
        bpy.data.materials.remove(material)
        for image in images:
            if image.users == 0:
                bpy.data.images.remove(image)


def image_of(material: bpy.types.Material | None) -> bpy.types.Image | None:
    """The first image of a material's nodes."""
    return next(iter(images_of(material)), None)


def images_of(material: bpy.types.Material | None) -> list[bpy.types.Image]:
    """The images of a material's nodes, each once."""
    if material is None or material.node_tree is None:
        return []
    nodes = (node for node in material.node_tree.nodes if node.bl_idname == "ShaderNodeTexImage")
    return list({node.image.name: node.image for node in nodes if node.image is not None}.values())
