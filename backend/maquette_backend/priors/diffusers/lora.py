"""LoRA files folded into a model's weights, read by diffusers' own loader (Hu et al. 2021)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

from diffusers.loaders.lora_pipeline import (
    SD3LoraLoaderMixin,
    StableDiffusionLoraLoaderMixin,
    StableDiffusionXLLoraLoaderMixin,
)
from maquette_protocol.errors import ErrorCode, MaquetteError
from safetensors import SafetensorError
from torch import nn

from maquette_backend.priors.families import STABLE_DIFFUSION_3, STABLE_DIFFUSION_XL, Family
from maquette_backend.priors.registry import Lora

_DOWN = re.compile(r"(lora_A|lora\.down|lora_down|_lora\.down)\.(default\.)?weight$")


def fold(lora: Lora, family: Family, part: str, network: nn.Module) -> None:
    """Add a LoRA's layers for one part (a network of that name in the folder) to its weights, in place.

    A file that has none for this part changes nothing.

    Raises:
        MaquetteError: UNKNOWN_PRIOR, the LoRA is of another model, or peft is missing.
    """
    path = Path(lora.file.path)
    if importlib.util.find_spec("peft") is None:
        raise _misfit(path, "the package peft, which reads it, is not installed", "Install it: pip install peft.")
    try:
        found = _loader(family).lora_state_dict(
            str(path.parent), weight_name=path.name, use_safetensors=True, local_files_only=True, return_lora_metadata=True
        )
        state, alphas, metadata = found if len(found) == 3 else (found[0], None, found[1])
        own = {key: value for key, value in state.items() if key.startswith(f"{part}.")}
        expected = sum(bool(_DOWN.search(key)) for key in own)
        if not any(_DOWN.search(key) for key in state):
            raise ValueError("it has no LoRA layers")
        if not expected:
            return
        _inject(family, part, network, own, alphas, metadata)
        folded = _merge(network, lora.scale)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        first_line = str(error).strip().partition("\n")[0][:300]
        raise _misfit(path, f"it does not fit this model's {part} ({first_line})") from error
    if folded != expected:
        raise _misfit(path, f"only {folded} of its {expected} layers for the {part} are layers of this model")


def _inject(family: Family, part: str, network: Any, state: dict[str, Any], alphas: Any, metadata: Any) -> None:
    loader = _loader(family)
    if part.startswith("text_encoder"):
        loader.load_lora_into_text_encoder(state, alphas, network, prefix=part, metadata=metadata)
    elif part == "transformer":
        SD3LoraLoaderMixin.load_lora_into_transformer(state, network, metadata=metadata)
    else:
        StableDiffusionLoraLoaderMixin.load_lora_into_unet(state, alphas, network, metadata=metadata)


def _merge(network: nn.Module, scale: float) -> int:
    """Fold the injected layers into the weights below them and take them out again; how many there were."""
    from diffusers.utils.peft_utils import recurse_remove_peft_layers
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers: list[Any] = [module for module in network.modules() if isinstance(module, BaseTunerLayer)]
    for layer in layers:
        layer.scale_layer(scale)
        layer.merge()
    recurse_remove_peft_layers(network)
    return len(layers)


def _loader(family: Family) -> Any:
    loaders = {STABLE_DIFFUSION_XL.name: StableDiffusionXLLoraLoaderMixin, STABLE_DIFFUSION_3.name: SD3LoraLoaderMixin}
    return loaders.get(family.name, StableDiffusionLoraLoaderMixin)


def _misfit(path: Path, what: str, remedy: str = "Choose a LoRA that was made for this base model.") -> MaquetteError:
    return MaquetteError(ErrorCode.UNKNOWN_PRIOR, f"The LoRA {path.name} can't be used: {what}.", remedy)
