"""A material → the images that its Principled BSDF shows, by the UV map that they lie on. Changes nothing."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportOptionalMemberAccess=false
# pyright: reportOptionalSubscript=false

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import bpy

from ._protocol import errors

Code = errors.ErrorCode
_SOCKETS = {"COLOR": "Base Color", "ROUGHNESS": "Roughness", "METALLIC": "Metallic", "NORMAL": "Normal"}
_CHANNELS = {"Red": 0, "R": 0, "Green": 1, "G": 1, "Blue": 2, "B": 2}
_SPLITTERS = ("ShaderNodeSeparateColor", "ShaderNodeSeparateRGB")
_PASSED = ("NodeReroute", "ShaderNodeNormalMap", *_SPLITTERS)
"""Nodes that an image's values go through as they are."""


@dataclass(frozen=True)
class Source:
    """What a material says of one kind of map."""

    image: bpy.types.Image | None
    channel: int | None
    """Which of the image's channels; none: its colour."""
    value: tuple[float, ...] = ()
    """Linear; where there is no image."""


def sources_of(material: bpy.types.Material | None, name: str, layer: str, render_layer: str) -> dict[str, Source]:
    """By kind of map; those that nothing is known of are left out.

    Args:
        name: the object's, for messages.
        layer: the UV map that is sent.
        render_layer: the one that images without a UV Map node are read by.

    Raises:
        MaquetteError: an image lies on another UV map, or is not placed by UVs.
    """
    if material is None:
        return {}
    shader = _shader(material)
    if shader is None:
        return {"COLOR": Source(None, None, tuple(material.diffuse_color[:3]))}
    found: dict[str, Source] = {}
    for kind, socket_name in _SOCKETS.items():
        socket = shader.inputs.get(socket_name)
        if socket is None:
            continue
        node, channel = _image_behind(socket)
        if node is not None:
            _check_place(material, node, name, layer, render_layer)
            found[kind] = Source(node.image, channel)
        elif kind == "COLOR":
            found[kind] = Source(None, None, tuple(socket.default_value[:3]))
        elif kind != "NORMAL":
            found[kind] = Source(None, None, (float(socket.default_value),))
    return found


def _shader(material: bpy.types.Material) -> bpy.types.Node | None:
    """The Principled BSDF that the output shows; else the first."""
    tree = material.node_tree
    if tree is None:
        return None
    shaders = [node for node in tree.nodes if node.bl_idname == "ShaderNodeBsdfPrincipled"]
    shown = (
        link.from_node
        for node in tree.nodes
        if node.bl_idname == "ShaderNodeOutputMaterial" and node.is_active_output
        for link in node.inputs["Surface"].links or ()
    )
    return next((node for node in shown if node in shaders), shaders[0] if shaders else None)


def _image_behind(socket: bpy.types.NodeSocket) -> tuple[bpy.types.Node | None, int | None]:
    """The image node that a socket's values come from, as they are; and which channel."""
    channel: int | None = None
    for link in _links_back(socket):
        node = link.from_node
        if node.bl_idname in _SPLITTERS:
            channel = _CHANNELS.get(link.from_socket.name)
        if node.bl_idname == "ShaderNodeTexImage" and node.image is not None and link.from_socket.name == "Color":
            return node, channel
    return None, None


def _links_back(socket: bpy.types.NodeSocket) -> Iterator[bpy.types.NodeLink]:
    for _ in range(64):  # a tree may be longer, but not of reroutes alone
        if not socket.is_linked:
            return
        link = socket.links[0]
        yield link
        node = link.from_node
        if node.bl_idname not in _PASSED:
            return
        socket = node.inputs["Color"] if node.bl_idname == "ShaderNodeNormalMap" else node.inputs[0]


def _check_place(material: bpy.types.Material, node: bpy.types.Node, name: str, layer: str, render_layer: str) -> None:
    image, vector = node.image, node.inputs["Vector"]
    used = render_layer
    if vector.is_linked:
        place = vector.links[0].from_node
        by_uvs = place.bl_idname == "ShaderNodeUVMap" or vector.links[0].from_socket.name == "UV"
        if not by_uvs or node.projection != "FLAT":
            raise _bad(
                f"The image {image.name} in the material {material.name} of {name} is placed by “{place.name}”, not by a UV map.",
                "Bake it to the UV map first, or turn off Start from Texture.",
            )
        used = getattr(place, "uv_map", "") or render_layer
    if used != layer:
        raise _bad(
            f"The image {image.name} of {name} lies on the UV map “{used}”, but “{layer}” is active.",
            f"Make “{used}” the active UV map, or turn off Start from Texture.",
        )


def _bad(message: str, remedy: str) -> errors.MaquetteError:
    return errors.MaquetteError(Code.INVALID_RECIPE, message, remedy)
