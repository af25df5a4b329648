"""What a recipe's guidance must be before a job is made of it; what only a prior can tell, the backend checks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from . import limits
from .errors import ErrorCode, MaquetteError
from .recipe import Guidance, Recipe, Times
from .value_checks import check_range, invalid


def check_guidance(guidance: Guidance) -> None:
    """Scales, times and shares within bounds, and choices that go together.

    Raises:
        MaquetteError: ``invalid_recipe``.
    """
    _check_scale("geometry", guidance.geometry_scale)
    _check_scale("appearance", guidance.appearance_scale)
    _check_scale("geometry at its end", guidance.geometry_scale_end)
    _check_scale("appearance at its end", guidance.appearance_scale_end)
    for what, times in (("geometry", guidance.geometry_times), ("appearance", guidance.appearance_times)):
        if times is not None:
            _check_times(what, times)
    for what, share in (
        ("The guidance's rescale", guidance.rescale),
        ("The share of a stage at which times and weights switch", guidance.switch_at),
        ("The weight of the image loss", guidance.image_loss),
        ("The share of a stage before CG-LoRA learns", guidance.ama_start),
        ("The share of the geometry with normals as latents", guidance.latent_normals),
        ("The share of the geometry's steps that look at normals", guidance.normal_share or 0.0),
    ):
        check_range(what, share, 0, 1)
    check_range("The weight of attention-mask alignment", guidance.ama, 0, 100)
    check_range("The weight of the renders' denoising loss", guidance.cg_lora_denoising, 0, 100)
    _check_together(guidance)


def check_priors(recipe: Recipe, known_priors: Collection[str], known_controls: Collection[str]) -> None:
    """Every prior and ControlNet that a recipe names is there, once, and counts for something.

    Raises:
        MaquetteError: ``unknown_prior`` or ``invalid_recipe``.
    """
    further, controls = recipe.further_priors, recipe.controls
    for what, count, limit in (
        ("further priors", len(further), limits.MAX_FURTHER_PRIORS), ("ControlNets", len(controls), limits.MAX_CONTROLS)
    ):  # fmt: skip
        if count > limit:
            raise invalid(f"The recipe has {count} {what}; the limit is {limit}.", f"Choose fewer {what}.")
    priors = [recipe.prior, *(one.name for one in further)]
    for what, names, known in (("prior", priors, known_priors), ("ControlNet", [one.name for one in controls], known_controls)):
        _check_known(what, names, known)
    check_range(f"The weight of the prior “{recipe.prior}”", recipe.prior_weight, 0, limits.MAX_PRIOR_WEIGHT)
    for one in further:
        check_range(f"The weight of the prior “{one.name}”", one.weight, 0, limits.MAX_PRIOR_WEIGHT)
        _check_scale(f"geometry of “{one.name}”", one.geometry_scale)
        _check_scale(f"appearance of “{one.name}”", one.appearance_scale)
    for control in controls:
        check_range(f"The weight of the ControlNet “{control.name}”", control.weight, 0, 2)
    if not any((recipe.prior_weight, *(one.weight for one in further))):
        raise invalid("No prior's pull counts for anything: every weight is 0.", "Give one a weight above 0.")


def _check_known(what: str, names: list[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            text = f"The backend has no {what} “{name}”."
            raise MaquetteError(ErrorCode.UNKNOWN_PRIOR, text, f"Choose one of: {there}.")
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise invalid(f"The {what} “{twice}” is named twice.", "Name it once, with the weight of both.")


def _check_scale(what: str, scale: float | None) -> None:
    if scale is not None:
        check_range(f"The guidance scale for {what}", scale, 0, 1000)


def _check_times(what: str, times: Times) -> None:
    for when, (low, high) in (("start", times.start), ("end", times.end)):
        check_range(f"The lowest diffusion time for {what} at its {when}", low, 0, 1)
        check_range(f"The highest diffusion time for {what} at its {when}", high, low, 1)
    if times.change == "square_root" and times.end[0] > times.start[1]:
        raise invalid(
            f"The diffusion times for {what} fall from {times.start[1]:g} to {times.end[0]:g}, which is no fall.",
            "Choose an end's lowest time that is at most the start's highest.",
        )


def _check_together(guidance: Guidance) -> None:
    if guidance.perp_neg and "csd" in (guidance.method, guidance.geometry_method):
        raise invalid(
            "Perp-Neg changes classifier-free guidance, and the method csd has none.", "Turn Perp-Neg off, or choose sds."
        )
    taught = (("Attention-mask alignment", guidance.ama), ("The denoising loss of the renders", guidance.cg_lora_denoising))
    for what, weight in taught:
        if weight and not guidance.cg_lora:
            raise invalid(
                f"{what} (weight {weight:g}) teaches CG-LoRA, which is off.", "Turn CG-LoRA on, or set the weight to 0."
            )
    if guidance.cg_lora and not any(weight for _, weight in taught):
        raise invalid(
            "CG-LoRA has nothing to learn from: the weights of alignment and denoising are both 0.",
            "Set one, 0.1 for alignment for example, or turn CG-LoRA off.",
        )
