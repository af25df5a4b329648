"""What a recipe's guidance must be before a job is made of it; what only a prior can tell, the backend checks."""

from __future__ import annotations

from .recipe import Guidance, Times
from .value_checks import check_range, invalid


def check_guidance(guidance: Guidance) -> None:
    """Scales, times and shares within bounds, and choices that go together.

    Raises:
        MaquetteError: ``invalid_recipe``.
    """
    for what, scale in (("geometry", guidance.geometry_scale), ("appearance", guidance.appearance_scale)):
        if scale is not None:
            check_range(f"The guidance scale for {what}", scale, 0, 1000)
    for what, times in (("geometry", guidance.geometry_times), ("appearance", guidance.appearance_times)):
        if times is not None:
            _check_times(what, times)
    for what, share in (
        ("The guidance's rescale", guidance.rescale),
        ("The share of a stage at which times and weights switch", guidance.switch_at),
        ("The weight of the image loss", guidance.image_loss),
        ("The share of a stage before CG-LoRA learns", guidance.ama_start),
    ):
        check_range(what, share, 0, 1)
    check_range("The weight of attention-mask alignment", guidance.ama, 0, 100)
    check_range("The weight of the renders' denoising loss", guidance.cg_lora_denoising, 0, 100)
    _check_together(guidance)


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
