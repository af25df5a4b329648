"""What the artist sets for more than one prior: what is asked besides, what shows it the shape, scales that move."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportAttributeAccessIssue=false, reportInvalidTypeForm=false

from __future__ import annotations

from dataclasses import replace

import bpy
from bpy.props import CollectionProperty, FloatProperty, PointerProperty, StringProperty

from ._protocol import limits, recipe

LISTS = (
    ("further", "Further Prior", "Ask another model in every step, too"),
    ("controls", "ControlNet", "Show the prior depth or normals while colour is refined"),
)
MOST = {"further": limits.MAX_FURTHER_PRIORS, "controls": limits.MAX_CONTROLS}


def _priors(_self: bpy.types.PropertyGroup, _context: bpy.types.Context, typed: str) -> list[str]:
    from . import pump

    welcome = pump.runtime().welcome
    return [name for name in (welcome.priors if welcome else ()) if typed.lower() in name.lower()]


def _controls(_self: bpy.types.PropertyGroup, _context: bpy.types.Context, typed: str) -> list[str]:
    from . import pump

    welcome = pump.runtime().welcome
    return [name for name in (welcome.controls if welcome else ()) if typed.lower() in name.lower()]


class MaquetteFurtherPrior(bpy.types.PropertyGroup):
    """A prior that is asked besides the scene's own."""

    model: StringProperty(name="Further Prior", description="A model from the backend's list", search=_priors)
    weight: FloatProperty(
        name="Weight", description="What it counts for beside the others", default=1.0, min=0.0, max=limits.MAX_PRIOR_WEIGHT
    )


class MaquetteControlNet(bpy.types.PropertyGroup):
    """A ControlNet that the scene's own prior hears."""

    model: StringProperty(
        name="ControlNet", description="A ControlNet from the backend's list, made for the prior's kind", search=_controls
    )
    weight: FloatProperty(name="Weight", description="What its share is multiplied by", default=1.0, min=0.0, max=2.0)


class MaquettePriors(bpy.types.PropertyGroup):
    """A scene's."""

    prior_weight: FloatProperty(
        name="Prior Weight", description="What the prior above counts for beside further ones", default=1.0, min=0.0,
        max=limits.MAX_PRIOR_WEIGHT,
    )  # fmt: skip
    geometry_scale_end: FloatProperty(
        name="Shape Guidance End",
        description="Shape Guidance moves evenly to this over the steps; 0: it stays",
        min=0.0,
        max=1000.0,
    )
    appearance_scale_end: FloatProperty(
        name="Colour Guidance End",
        description="Colour Guidance moves evenly to this over the steps; 0: it stays",
        min=0.0,
        max=1000.0,
    )
    further: CollectionProperty(type=MaquetteFurtherPrior)
    controls: CollectionProperty(type=MaquetteControlNet)


CLASSES = (MaquetteFurtherPrior, MaquetteControlNet, MaquettePriors)


def attach() -> None:
    """Add the settings to scenes."""
    bpy.types.Scene.maquette_priors = PointerProperty(type=MaquettePriors)


def detach() -> None:
    """Undo ``attach``."""
    del bpy.types.Scene.maquette_priors


def settings(scene: bpy.types.Scene) -> MaquettePriors:
    """A scene's, typed."""
    return scene.maquette_priors


def with_priors(plain: recipe.Recipe, chosen: MaquettePriors) -> recipe.Recipe:
    """The recipe with what is set here; lines that name nothing are left out."""
    own = plain.guidance
    return replace(
        plain,
        guidance=replace(
            own,
            geometry_scale_end=chosen.geometry_scale_end or own.geometry_scale_end,
            appearance_scale_end=chosen.appearance_scale_end or own.appearance_scale_end,
        ),
        prior_weight=chosen.prior_weight,
        further_priors=tuple(recipe.FurtherPrior(one.model, one.weight) for one in chosen.further if one.model),
        controls=tuple(recipe.Control(one.model, one.weight) for one in chosen.controls if one.model),
    )
