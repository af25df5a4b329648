"""Baked images → a material that shows them."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Mapping

import bpy
import numpy as np

from . import mesh_building

LABELS = {"NORMAL": "Normal", "COLOR": "Base Colour", "AO": "Ambient Occlusion", "DISPLACEMENT": "Displacement"}


def baked_material(
    name: str, images: Mapping[str, bpy.types.Image], uv_layer: str, normal_y: str
) -> bpy.types.Material:
    """A Principled material of baked images, by map; each reads the UV layer that it was baked to.

    Ambient occlusion is in the tree and linked to nothing: a renderer makes its own, and baked shade on top of that
    would darken twice. So is displacement, where the normal map shows the same relief already.
    """
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True  # 5.0 gives every new material its nodes and deprecates this switch
    tree = material.node_tree
    assert tree is not None
    tree.nodes.clear()
    output, shader = _node(tree, "ShaderNodeOutputMaterial", 300, 300), _node(tree, "ShaderNodeBsdfPrincipled", 0, 300)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    shader.inputs["Roughness"].default_value = 0.6
    place = _node(tree, "ShaderNodeUVMap", -1300, 0)
    place.uv_map = uv_layer
    sources = {kind: _image_node(tree, kind, image, place, row) for row, (kind, image) in enumerate(images.items())}
    if "COLOR" in sources:
        tree.links.new(sources["COLOR"].outputs["Color"], shader.inputs["Base Color"])
        tree.nodes.active = sources["COLOR"]  # what Solid shading shows when its colour is set to Texture
        _show_in_solid(material, images["COLOR"])
    if "NORMAL" in sources:
        _link_normal(tree, sources["NORMAL"], shader, uv_layer, normal_y)
    if "DISPLACEMENT" in sources:
        moved = _node(tree, "ShaderNodeDisplacement", 0, -400)
        moved.inputs["Midlevel"].default_value, moved.inputs["Scale"].default_value = 0.0, 1.0
        tree.links.new(sources["DISPLACEMENT"].outputs["Color"], moved.inputs["Height"])
        if "NORMAL" not in sources:
            tree.links.new(moved.outputs["Displacement"], output.inputs["Displacement"])
    return material


def _link_normal(
    tree: bpy.types.NodeTree, source: bpy.types.Node, shader: bpy.types.Node, uv_layer: str, normal_y: str
) -> None:
    normal = _node(tree, "ShaderNodeNormalMap", -200, 0)
    normal.space, normal.uv_map = "TANGENT", uv_layer
    colour = source.outputs["Color"]
    if normal_y == "NEG_Y":
        # the node reads green as up, whatever the image is for
        parts, whole = _node(tree, "ShaderNodeSeparateColor", -700, 0), _node(tree, "ShaderNodeCombineColor", -400, 0)
        turned = _node(tree, "ShaderNodeMath", -550, 0)
        turned.operation = "SUBTRACT"
        turned.inputs[0].default_value = 1.0
        tree.links.new(colour, parts.inputs["Color"])
        tree.links.new(parts.outputs["Green"], turned.inputs[1])
        tree.links.new(parts.outputs["Red"], whole.inputs["Red"])
        tree.links.new(turned.outputs["Value"], whole.inputs["Green"])
        tree.links.new(parts.outputs["Blue"], whole.inputs["Blue"])
        colour = whole.outputs["Color"]
    tree.links.new(colour, normal.inputs["Color"])
    tree.links.new(normal.outputs["Normal"], shader.inputs["Normal"])


def _image_node(
    tree: bpy.types.NodeTree, kind: str, image: bpy.types.Image, place: bpy.types.Node, row: int
) -> bpy.types.Node:
    node = _node(tree, "ShaderNodeTexImage", -1050, 400 - 300 * row)
    node.image, node.label = image, LABELS[kind]
    tree.links.new(place.outputs["UV"], node.inputs["Vector"])
    return node


def _node(tree: bpy.types.NodeTree, kind: str, x: float, y: float) -> bpy.types.Node:
    node = tree.nodes.new(kind)
    node.location = (x, y)
    return node


def _show_in_solid(material: bpy.types.Material, image: bpy.types.Image) -> None:
    width, height = image.size
    pixels = np.zeros((height * width, 4), np.float32)
    image.pixels.foreach_get(pixels.ravel())
    covered = pixels[pixels[:, 3] > 0.5]
    if len(covered):
        mesh_building.set_viewport_color(material, covered)
