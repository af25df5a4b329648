"""The families of diffusers models that can be priors: which parts their folders have, of which classes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_DIFFUSERS, _TRANSFORMERS = "diffusers", "transformers"
_NETWORK, _ENCODER = "diffusion_pytorch_model", "model"

DISCRETE = frozenset(
    {
        "DDIMScheduler",
        "DDPMScheduler",
        "DEISMultistepScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "EulerAncestralDiscreteScheduler",
        "EulerDiscreteScheduler",
        "HeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "KDPM2DiscreteScheduler",
        "LCMScheduler",
        "LMSDiscreteScheduler",
        "PNDMScheduler",
        "UniPCMultistepScheduler",
    }
)
"""Schedulers that only differ in how they sample: their noise is that of DDPM (Ho et al. 2020) with its betas."""
FLOW = frozenset({"FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"})


@dataclass(frozen=True)
class Part:
    """A part with weights."""

    name: str
    classes: tuple[tuple[str, str], ...]
    """Library and class that ``model_index.json`` may name."""
    weights: str
    """Name of the weights' file, before any variant and suffix."""
    optional: bool = False


@dataclass(frozen=True)
class Family:
    """One kind of model."""

    name: str
    pipeline: str
    """``_class_name`` in ``model_index.json``."""
    denoiser: str
    parts: tuple[Part, ...]
    schedulers: frozenset[str]

    def readers(self, parts: Iterable[str]) -> tuple[str, ...]:
        """Folders besides ``parts`` that have no weights: the scheduler, and the tokenizer of each text encoder."""
        encoders = [name for name in parts if name.startswith("text_encoder")]
        return ("scheduler", *(name.replace("text_encoder", "tokenizer") for name in encoders))

    @property
    def encoders(self) -> tuple[str, ...]:
        """The text encoders' parts."""
        return tuple(part.name for part in self.parts if part.name.startswith("text_encoder"))


_UNET = Part("unet", ((_DIFFUSERS, "UNet2DConditionModel"),), _NETWORK)
VAE = Part("vae", ((_DIFFUSERS, "AutoencoderKL"), (_DIFFUSERS, "AutoencoderTiny")), _NETWORK)
_CLIP = ((_TRANSFORMERS, "CLIPTextModel"),)
_PROJECTED = ((_TRANSFORMERS, "CLIPTextModelWithProjection"),)
_T5 = ((_TRANSFORMERS, "T5EncoderModel"),)

STABLE_DIFFUSION = Family(
    "stable-diffusion",
    "StableDiffusionPipeline",
    "unet",
    (_UNET, VAE, Part("text_encoder", _CLIP, _ENCODER)),
    DISCRETE,
)
MULTI_VIEW = Family("multi-view", "StableDiffusionPipeline", "unet", STABLE_DIFFUSION.parts, DISCRETE)
"""Stable Diffusion whose class embedding takes a camera, and whose self-attention looks across four views: MVDream."""
STABLE_DIFFUSION_XL = Family(
    "stable-diffusion-xl",
    "StableDiffusionXLPipeline",
    "unet",
    (_UNET, VAE, Part("text_encoder", _CLIP, _ENCODER), Part("text_encoder_2", _PROJECTED, _ENCODER)),
    DISCRETE,
)
STABLE_DIFFUSION_3 = Family(
    "stable-diffusion-3",
    "StableDiffusion3Pipeline",
    "transformer",
    (
        Part("transformer", ((_DIFFUSERS, "SD3Transformer2DModel"),), _NETWORK),
        VAE,
        Part("text_encoder", _PROJECTED, _ENCODER),
        Part("text_encoder_2", _PROJECTED, _ENCODER),
        Part("text_encoder_3", _T5, _ENCODER, optional=True),
    ),
    FLOW,
)
FAMILIES = (STABLE_DIFFUSION, STABLE_DIFFUSION_XL, STABLE_DIFFUSION_3)
"""Those that ``model_index.json`` tells apart; a multi-view model is told by its network's configuration."""
