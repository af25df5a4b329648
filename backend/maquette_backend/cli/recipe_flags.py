"""What ``refine`` can be asked for in place of what a saved recipe says: priors, ControlNets, scales, a preset."""

from __future__ import annotations

import argparse
from dataclasses import replace

from maquette_protocol.presets import preset_names, with_preset
from maquette_protocol.recipe import Control, FurtherPrior, Recipe

Named = tuple[str, float]
Scales = tuple[float, float | None]


def add_recipe_flags(parser: argparse.ArgumentParser) -> None:
    """Add them to a command's arguments."""
    parser.add_argument("--preset", choices=preset_names(), help="guidance and lengths in place of the recipe's own")
    parser.add_argument("--prior", metavar="NAME", help="another prior, one that `models` lists")
    parser.add_argument("--prior-weight", type=float, metavar="WEIGHT", help="what it counts for beside further priors")
    parser.add_argument(
        "--further-prior", type=_named, action="append", metavar="NAME[=WEIGHT]", help="a prior to ask besides; may be repeated"
    )
    parser.add_argument(
        "--control", type=_named, action="append", metavar="NAME[=WEIGHT]", help="a ControlNet to hear; may be repeated"
    )
    for part in ("geometry", "appearance"):
        parser.add_argument(
            f"--{part}-scale", type=_scales, metavar="START[:END]", help=f"guidance scale of the {part}, moving evenly to END"
        )


def with_flags(recipe: Recipe, chosen: argparse.Namespace) -> Recipe:
    """The recipe with what was asked for; the rest as it is. A preset suits the prior that is asked for, and scales come
    before the preset's."""
    recipe = replace(recipe, prior=chosen.prior) if chosen.prior else recipe
    recipe = with_preset(recipe, chosen.preset) if chosen.preset else recipe
    if chosen.prior_weight is not None:
        recipe = replace(recipe, prior_weight=chosen.prior_weight)
    if chosen.further_prior:
        recipe = replace(recipe, further_priors=tuple(FurtherPrior(*one) for one in chosen.further_prior))
    if chosen.control:
        recipe = replace(recipe, controls=tuple(Control(*one) for one in chosen.control))
    guidance = recipe.guidance
    if chosen.geometry_scale is not None:
        start, end = chosen.geometry_scale
        guidance = replace(guidance, geometry_scale=start, geometry_scale_end=end)
    if chosen.appearance_scale is not None:
        start, end = chosen.appearance_scale
        guidance = replace(guidance, appearance_scale=start, appearance_scale_end=end)
    return replace(recipe, guidance=guidance)


def _named(text: str) -> Named:
    """``NAME`` or ``NAME=WEIGHT``."""
    name, _, weight = text.partition("=")
    return name, _number(weight, f"{name}=0.5") if "=" in text else 1.0


def _scales(text: str) -> Scales:
    """``START`` or ``START:END``."""
    start, colon, end = text.partition(":")
    return _number(start, "100:20"), _number(end, "100:20") if colon else None


def _number(text: str, example: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"“{text}” is no number: write {example}") from error
