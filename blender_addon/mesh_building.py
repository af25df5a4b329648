"""Arrays → Blender meshes and images, by the attribute way (ten times faster than ``from_pydata``).

Everything here fills datablocks that Maquette made itself.
"""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false

from __future__ import annotations

import bpy
import numpy as np
from numpy.typing import NDArray

UV_NAME = "Maquette UV"
COLOR_NAME = "Maquette Color"
HARD_ANGLE = np.deg2rad(50.0)
"""Where a new surface turns by more along an edge, it is one; so the backend takes the original's."""
Floats = NDArray[np.float32]
Ints = NDArray[np.int32]


def fill_mesh(mesh: bpy.types.Mesh, positions: Floats, faces: Ints, corner_uvs: Floats | None) -> None:
    """Replace a mesh's geometry. positions [V,3], faces [F,K] of K corners each, corner_uvs [F,K,2]."""
    mesh.clear_geometry()
    mesh.vertices.add(len(positions))
    mesh.loops.add(faces.size)
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", np.arange(0, faces.size, faces.shape[1], dtype=np.int32))
    mesh.attributes[".corner_vert"].data.foreach_set("value", np.ascontiguousarray(faces, np.int32).ravel())
    set_positions(mesh, positions, update=False)
    if corner_uvs is not None:
        set_uvs(mesh, UV_NAME, corner_uvs.reshape(-1, 2))
    mesh.update(calc_edges=True)


def mark_hard_edges(mesh: bpy.types.Mesh) -> None:
    """Mark a new surface's edges sharp where it turns by more than HARD_ANGLE: shading that is smooth round an edge shows
    how uneven the triangles beside it are, as beads."""
    smooth = np.zeros(len(mesh.polygons), bool)
    mesh.polygons.foreach_get("use_smooth", smooth)
    mesh.set_sharp_from_angle(angle=HARD_ANGLE)
    mesh.polygons.foreach_set("use_smooth", smooth)  # the call makes all faces smooth


def set_positions(mesh: bpy.types.Mesh, positions: Floats, *, update: bool = True) -> None:
    """Move a mesh's vertices in place: 0.1 ms for 100k triangles. positions [V,3]."""
    mesh.attributes["position"].data.foreach_set("vector", np.ascontiguousarray(positions, np.float32).ravel())
    if update:
        mesh.update()


def set_uvs(mesh: bpy.types.Mesh, name: str, loop_uvs: Floats) -> None:
    """Write a UV layer, made if it is not there, and make it the active one. loop_uvs [loops,2]."""
    layer = mesh.uv_layers.get(name) or mesh.uv_layers.new(name=name, do_init=False)
    mesh.attributes[layer.name].data.foreach_set("vector", np.ascontiguousarray(loop_uvs, np.float32).ravel())
    layer = mesh.uv_layers[name]
    layer.active = True
    layer.active_render = True


def set_colors(mesh: bpy.types.Mesh, colors: Floats) -> None:
    """Write a colour per vertex and make it the active one. colors [V,4], sRGB 0..1."""
    attribute = mesh.color_attributes.get(COLOR_NAME)
    if attribute is None:
        attribute = mesh.color_attributes.new(name=COLOR_NAME, type="BYTE_COLOR", domain="POINT")
        mesh.color_attributes.active_color = attribute
    attribute.data.foreach_set("color_srgb", colors.ravel())


def fill_image(name: str, image: bpy.types.Image | None, pixels: Floats) -> bpy.types.Image:
    """Show pixels in an image, a new one where the size differs. pixels [H,W,4], sRGB 0..1, row 0 at the bottom."""
    height, width = pixels.shape[:2]
    if image is None:
        image = bpy.data.images.new(name, width, height, alpha=False)
    elif tuple(image.size) != (width, height):
        image.scale(width, height)
    image.pixels.foreach_set(pixels.ravel())
    image.update()
    return image


def fill_material(name: str, material: bpy.types.Material | None, image: bpy.types.Image | None) -> bpy.types.Material:
    """A Principled material coloured by an image, or by the colour attribute without one."""
    material = material or bpy.data.materials.new(name)
    if material.node_tree is None:
        # 5.0 gives every new material its nodes and deprecates this switch; older versions need it
        material.use_nodes = True
    tree = material.node_tree
    assert tree is not None
    shader = next((node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"), None)
    if shader is None:
        shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
        output = tree.nodes.new("ShaderNodeOutputMaterial")
        tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    kind = "ShaderNodeTexImage" if image is not None else "ShaderNodeVertexColor"
    source = next((node for node in tree.nodes if node.bl_idname == kind), None)
    if source is None:
        source = tree.nodes.new(kind)
        source.location = (-320.0, 300.0)
        shader.inputs["Roughness"].default_value = 0.6
    base_color = shader.inputs["Base Color"]
    # a preview may go from colours to a texture and back
    if not any(link.from_node == source for link in base_color.links or ()):
        tree.links.new(source.outputs["Color"], base_color)
    if isinstance(source, bpy.types.ShaderNodeTexImage):
        source.image = image
    elif isinstance(source, bpy.types.ShaderNodeVertexColor):
        source.layer_name = COLOR_NAME
    # the active image node is what Solid shading shows when its colour is set to Texture
    tree.nodes.active = source
    return material


def set_viewport_color(material: bpy.types.Material, colors: Floats) -> None:
    """Give Solid shading the mean colour, so that a result shows there too. colors [...,4], sRGB 0..1."""
    flat = colors.reshape(-1, colors.shape[-1])
    mean = flat[:: max(1, len(flat) // 4096), :3].mean(axis=0)
    linear = np.where(mean <= 0.04045, mean / 12.92, ((mean + 0.055) / 1.055) ** 2.4)
    material.diffuse_color = (*(float(part) for part in linear), 1.0)
