"""What a recipe's textures, masks and lighting must be before a job is made of them."""

from __future__ import annotations

from collections.abc import Iterator

from . import limits
from .recipe import ArrayRef, Lamp, Lighting, Subject, SurfaceMaps
from .value_checks import check_matrix, check_range, check_ref, invalid


def check_paint(subject: Subject) -> None:
    """The maps that a subject starts from, and what of them is kept.

    Raises:
        MaquetteError: ``invalid_recipe``.
    """
    name = subject.name
    check_range(f"“Keep look” of “{name}”", subject.keep_look, 0, 1)
    for what, ref, dtype, tail in _images(subject):
        _check_image(f"The {what} of “{name}”", ref, dtype, tail)
    _check_painted(subject)
    if _none_given(subject.maps):
        if subject.texel_mask is not None:
            raise invalid(
                f"“{name}” has a texel mask, but no texture whose texels it could keep.", "Send the base colour too."
            )
        return
    if subject.mesh.corner_uvs is None:
        raise invalid(f"“{name}” has a texture to start from, but its mesh has no UVs.", "Send its UVs, or no texture.")
    if subject.mode == "remesh":
        raise invalid(
            f"“{name}” has a texture to start from, but Remesh makes new UVs on which it does not fit.",
            "Choose Texture Only or Keep Topology, or send no texture.",
        )


def check_lighting(lighting: Lighting) -> None:
    """An environment that can be read, lamps that shine.

    Raises:
        MaquetteError: ``invalid_recipe``.
    """
    environment = lighting.environment
    if environment is not None:
        shape = environment.shape
        sides = all(1 < side <= limits.MAX_ENVIRONMENT_SIDE for side in shape[:2])
        if environment.dtype != "f4" or len(shape) != 3 or shape[2] != 3 or not sides:
            raise invalid(
                f"The environment is {environment.dtype} {list(shape)}.",
                f"Send f4 [height, width, 3], each side from 2 to {limits.MAX_ENVIRONMENT_SIDE} pixels.",
            )
        check_ref("The environment", environment)
    for lamp in lighting.lamps:
        _check_lamp(lamp)


def _check_lamp(lamp: Lamp) -> None:
    check_range("A lamp's strength", lamp.strength, 0, limits.MAX_LAMP_STRENGTH)
    for channel in lamp.color:
        check_range("A lamp's colour", channel, 0, limits.MAX_LAMP_STRENGTH)
    check_matrix("a lamp", lamp.world_from_lamp)


def _none_given(maps: SurfaceMaps | None) -> bool:
    return maps is None or maps == SurfaceMaps()


def _images(subject: Subject) -> Iterator[tuple[str, ArrayRef, str, tuple[int, ...]]]:
    """Each image with the type and the last sides that it must have."""
    maps = subject.maps or SurfaceMaps()
    for what, ref, tail in (
        ("base colour", maps.base_color, (3,)),
        ("roughness", maps.roughness, ()),
        ("metallic", maps.metallic, ()),
        ("normal map", maps.normal, (3,)),
        ("texel mask", subject.texel_mask, ()),
    ):
        if ref is not None:
            yield what, ref, "u1", tail


def _check_image(what: str, ref: ArrayRef, dtype: str, tail: tuple[int, ...]) -> None:
    sides = ref.shape[:2]
    fits = ref.dtype == dtype and len(ref.shape) == 2 + len(tail) and ref.shape[2:] == tail
    if not fits or not all(1 <= side <= limits.MAX_TEXTURE_SIZE for side in sides):
        wanted = ", ".join(("height", "width", *map(str, tail)))
        raise invalid(
            f"{what} is {ref.dtype} {list(ref.shape)}.",
            f"Send {dtype} [{wanted}], each side from 1 to {limits.MAX_TEXTURE_SIZE} pixels.",
        )
    check_ref(what, ref)


def _check_painted(subject: Subject) -> None:
    painted, triangles = subject.painted_triangles, subject.mesh.triangles.shape[:1]
    if painted is None:
        return
    if painted.dtype != "u1" or painted.shape != triangles:
        raise invalid(
            f"The painted triangles of “{subject.name}” are {painted.dtype} {list(painted.shape)}.",
            f"Send u1 {list(triangles)}, one for each triangle.",
        )
    check_ref(subject.name, painted)
