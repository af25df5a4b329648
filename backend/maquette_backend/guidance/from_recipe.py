"""From a recipe's guidance to what the other modules here are: a distiller, times, a weighting."""

from __future__ import annotations

from typing import Literal

from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import FurtherPrior, Guidance, Method, Weighting
from maquette_protocol.recipe import Times as RecipeTimes

from maquette_backend.guidance import weights
from maquette_backend.guidance.build import build_distiller
from maquette_backend.guidance.camera_guided import CgLoraSettings
from maquette_backend.guidance.distiller import Distiller
from maquette_backend.guidance.estimates import Estimator, classifier_free
from maquette_backend.guidance.hifa import Decodes
from maquette_backend.guidance.latent_normals import CHANNELS
from maquette_backend.guidance.perp_neg import PerpNeg, SideTexts
from maquette_backend.guidance.schedule import SquareRootTimes, SwitchedTimes, Times, TimeSchedule
from maquette_backend.priors.denoiser import HasDenoiser
from maquette_backend.priors.prior import HasLatents, Prior

Part = Literal["geometry", "appearance"]
"""What a stage refines."""
_PARTS: tuple[Part, ...] = ("geometry", "appearance")


def distiller_of(guidance: Guidance, part: Part, prior: Prior, prompt: str) -> Distiller:
    """The way that ``guidance`` asks for, of pictures of ``prompt``. Call ``close`` when the stage ends.

    Raises ValueError if the prior can't do it; ``check_guidance_fits`` says so in the artist's words.
    """
    adapters = None
    if guidance.cg_lora:
        adapters = CgLoraSettings(
            alignment_weight=guidance.ama, denoising_weight=guidance.cg_lora_denoising, start=guidance.ama_start
        )
    return build_distiller(_method(guidance, part), prior, prompt, adapters, _estimator(guidance, prior, prompt))


def _method(guidance: Guidance, part: Part) -> Method:
    return guidance.geometry_method or guidance.method if part == "geometry" else guidance.method


def times_of(asked: RecipeTimes | None, advice: TimeSchedule, switch_at: float) -> Times:
    """What a recipe asks for, or the prior's advice."""
    if asked is None:
        return advice
    if asked.change == "square_root":
        return SquareRootTimes(asked.start[1], asked.end[0])
    if asked.change == "switch":
        return SwitchedTimes(asked.start, asked.end, switch_at)
    return TimeSchedule(asked.start, asked.end)


def weighting_of(asked: Weighting, switch_at: float) -> weights.Weighting | None:
    """None: as the method's paper has it."""
    if asked == "method":
        return None
    if asked == "fantasia_switch":
        return weights.fantasia_switch(switch_at)
    return {
        "one_minus_alpha_bar": weights.one_minus_alpha_bar,
        "uniform": weights.uniform,
        "fantasia_early": weights.fantasia_early,
        "fantasia_late": weights.fantasia_late,
    }[asked]


def check_guidance_fits(guidance: Guidance, prior: Prior, name: str) -> None:
    """Raises MaquetteError INVALID_RECIPE if the prior called ``name`` can't do what ``guidance`` asks for."""
    inside = "CG-LoRA" if guidance.cg_lora else "The method vsd"
    adds = guidance.cg_lora or "vsd" in [_method(guidance, part) for part in _PARTS]
    if adds and not isinstance(prior, HasDenoiser):
        raise _unfit(
            f"{inside} adds to the prior's network, and “{name}” lets nothing into it.",
            "Choose sds, csd, ism or sjc without CG-LoRA, or another prior.",
        )
    if guidance.perp_neg and prior.settings.camera_conditioned:
        raise _unfit(
            f"Perp-Neg works on words for sides, and “{name}” is told the camera itself.", "Turn Perp-Neg off, or choose another prior."
        )
    if guidance.image_loss and not isinstance(prior, Decodes):
        raise _unfit(f"The image loss needs decoded pictures, which “{name}” can't give.", "Set its weight to 0.")
    if guidance.latent_normals:
        _check_latents(prior, name)
    try:
        for part in _PARTS:
            distiller_of(guidance, part, prior, "").close()
    except (ValueError, TypeError) as error:
        raise _unfit(f"{inside} does not go with “{name}”: {error}.", "Choose sds without CG-LoRA, or another prior.") from error


def check_further_fits(further: FurtherPrior, prior: Prior) -> None:
    """Raises MaquetteError INVALID_RECIPE if a further prior can't be asked by its method."""
    try:
        build_distiller(further.method, prior).close()
    except (ValueError, TypeError) as error:
        text = f"The method {further.method} does not go with “{further.name}”: {error}."
        raise _unfit(text, "Choose sds, csd, ism or sjc for it, or another prior.") from error


def _check_latents(prior: Prior, name: str) -> None:
    has = f"those of “{name}” have {prior.latent_shape[0]}" if isinstance(prior, HasLatents) else f"“{name}” has no latents"
    if not isinstance(prior, HasLatents) or prior.latent_shape[0] != CHANNELS:
        raise _unfit(
            f"Normals can be shown as latents of {CHANNELS} channels, and {has}.",
            "Set latent_normals to 0 (in the panel: choose another preset), or choose Stable Diffusion 1, 2 or XL.",
        )


def _estimator(guidance: Guidance, prior: Prior, prompt: str) -> Estimator:
    if not guidance.perp_neg:
        return classifier_free
    front, side, back = (prior.encode_text([f"{prompt}, {side} view"]).data for side in ("front", "side", "back"))
    return PerpNeg(SideTexts(front, side, back))


def _unfit(message: str, remedy: str) -> MaquetteError:
    return MaquetteError(ErrorCode.INVALID_RECIPE, message, remedy)
