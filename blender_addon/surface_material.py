"""A surface's maps → a Principled material that shows them in Solid, Material Preview, EEVEE and Cycles alike."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false

from __future__ import annotations

from collections.abc import Mapping

import bpy

from .surface_maps import LABELS

_SOCKETS = {"COLOR": "Base Color", "ROUGHNESS": "Roughness", "METALLIC": "Metallic"}
_ROUGHNESS = 0.6
"""Where no map says: neither a mirror nor chalk."""


def make(name: str, images: Mapping[str, bpy.types.Image], uv_layer: str) -> bpy.types.Material:
    """A new material of images by kind, each read by the UV layer of that name. Normals have green up (OpenGL)."""
    material = bpy.data.materials.new(name)
    if material.node_tree is None:
        material.use_nodes = True  # 5.0 gives every new material its nodes and deprecates this switch
    tree = material.node_tree
    assert tree is not None
    tree.nodes.clear()
    output, shader = _node(tree, "ShaderNodeOutputMaterial", 300, 300), _node(tree, "ShaderNodeBsdfPrincipled", 0, 300)
    tree.links.new(shader.outputs["BSDF"], output.inputs["Surface"])
    shader.inputs["Roughness"].default_value = _ROUGHNESS
    place = _node(tree, "ShaderNodeUVMap", -900, 100)
    place.uv_map = uv_layer
    for row, kind in enumerate(kind for kind in LABELS if kind in images):
        source = _node(tree, "ShaderNodeTexImage", -650, 400 - 300 * row)
        source.image, source.label = images[kind], LABELS[kind]
        tree.links.new(place.outputs["UV"], source.inputs["Vector"])
        if kind == "NORMAL":
            _link_normal(tree, source, shader, uv_layer)
        else:
            tree.links.new(source.outputs["Color"], shader.inputs[_SOCKETS[kind]])
    show_in_solid(tree)
    return material


def show_in_solid(tree: bpy.types.NodeTree) -> None:
    """Solid shading with its colour set to Texture shows the active image node: the base colour."""
    shown = next((node for node in tree.nodes if node.label == LABELS["COLOR"]), None)
    for node in tree.nodes:
        node.select = node == shown
    tree.nodes.active = shown


def _link_normal(tree: bpy.types.NodeTree, source: bpy.types.Node, shader: bpy.types.Node, uv_layer: str) -> None:
    normal = _node(tree, "ShaderNodeNormalMap", -300, -300)
    normal.space, normal.uv_map = "TANGENT", uv_layer
    tree.links.new(source.outputs["Color"], normal.inputs["Color"])
    tree.links.new(normal.outputs["Normal"], shader.inputs["Normal"])


def _node(tree: bpy.types.NodeTree, kind: str, x: float, y: float) -> bpy.types.Node:
    node = tree.nodes.new(kind)
    node.location = (x, y)
    return node
