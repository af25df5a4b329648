"""From a registered model to a prior on a device. Nothing is downloaded, and no code of the model's is run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5Tokenizer

from maquette_backend.priors.control_folder import ControlFolder
from maquette_backend.priors.diffusers.adaptable_prior import AdaptablePrior
from maquette_backend.priors.diffusers.advice import advice
from maquette_backend.priors.diffusers.camera import show_views
from maquette_backend.priors.diffusers.compiled import CompiledNetwork
from maquette_backend.priors.diffusers.denoisers import Denoiser, TransformerDenoiser, UnetDenoiser
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior, Parts
from maquette_backend.priors.diffusers.encoders import PROCESSOR, Encoder, Encoders, clip_limit
from maquette_backend.priors.diffusers.lora import fold
from maquette_backend.priors.diffusers.machine import Machine, check_unchanged, reading
from maquette_backend.priors.diffusers.memory import EVERYTHING, MemoryPlan, plan_memory
from maquette_backend.priors.diffusers.needs import needs_of
from maquette_backend.priors.diffusers.pictures import Pictures
from maquette_backend.priors.diffusers.precision import Careful, wider_than
from maquette_backend.priors.diffusers.schedules import discrete_schedule, flow_schedule
from maquette_backend.priors.diffusers.texts import T5_TOKENS, Style, Texts
from maquette_backend.priors.families import MULTI_VIEW, STABLE_DIFFUSION_3, STABLE_DIFFUSION_XL
from maquette_backend.priors.model_folder import ModelFolder, inspect_folder, part_config, read_json, unusable
from maquette_backend.priors.notices import Notices
from maquette_backend.priors.registry import Model

__all__ = ["VIEWS", "Machine", "load_model", "native_size"]
VIEWS = 4
"""A recipe's usual views per step, for which memory is planned."""
_CLASSES: dict[str, Any] = {
    "UNet2DConditionModel": UNet2DConditionModel,
    "SD3Transformer2DModel": SD3Transformer2DModel,
    "AutoencoderKL": AutoencoderKL,
    "AutoencoderTiny": AutoencoderTiny,
    "CLIPTextModel": CLIPTextModel,
    "CLIPTextModelWithProjection": CLIPTextModelWithProjection,
    "T5EncoderModel": T5EncoderModel,
}
_STYLES: dict[str, Style] = {STABLE_DIFFUSION_XL.name: "penultimate", STABLE_DIFFUSION_3.name: "joint"}


def load_model(model: Model, machine: Machine, controls: Sequence[ControlFolder] = ()) -> DiffusersPrior:
    """The prior. ``controls``: ControlNets that will be loaded beside it, for which room is left.

    Raises:
        MaquetteError: UNKNOWN_PRIOR if files are missing, not what was registered, or don't fit each other;
            OUT_OF_MEMORY if the GPU has not enough free.
    """
    with reading(model):
        found = inspect_folder(model.folder)
        check_unchanged(model)
        return _Loader(model, found, machine, tuple(controls)).prior()


@dataclass(frozen=True)
class _Loader:
    model: Model
    found: ModelFolder
    machine: Machine
    controls: tuple[ControlFolder, ...] = ()
    notices: Notices = field(default_factory=Notices)

    def prior(self) -> DiffusersPrior:
        family, machine = self.found.family, self.machine
        size = native_size(self.found)
        plan = self._plan(size)
        texts = self._texts(plan)
        scheduler = part_config(self.found.folder, "scheduler")
        schedule = flow_schedule(scheduler) if family is STABLE_DIFFUSION_3 else discrete_schedule(scheduler)
        denoiser = self._denoiser(texts, size)
        parts = Parts(schedule, texts, self._pictures(size, plan), denoiser, plan.samples, self.notices)
        settings = replace(advice(family, size), device=machine.device)
        if isinstance(denoiser, UnetDenoiser) and not texts.layout.pooled:
            return AdaptablePrior(parts, settings, self.model.identity, denoiser, texts)
        return DiffusersPrior(parts, settings, self.model.identity)

    def _plan(self, size: int) -> MemoryPlan:
        if self.machine.free_bytes is None:
            return EVERYTHING
        together = 4 if self.found.family is MULTI_VIEW else 1
        needs = needs_of(self.found, size, self._vae_dtype, self.controls)
        return plan_memory(self.machine.free_bytes, needs, VIEWS, together)

    def _denoiser(self, texts: Texts, size: int) -> Denoiser:
        name = self.found.family.denoiser
        network = self._network(name, self.machine.dtype)
        careful = partial(Careful, device=self.machine.device, name=f"network of {self.model.name}", notices=self.notices)
        if isinstance(network, SD3Transformer2DModel):
            return TransformerDenoiser(network, texts.layout, careful(network, self.machine.dtype), self._compiled(network))
        assert isinstance(network, UNet2DConditionModel)
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        if self.found.family is MULTI_VIEW:
            show_views(network)
        return UnetDenoiser(network, texts.layout, careful(network, self.machine.dtype), size, self._compiled(network))

    def _compiled(self, network: nn.Module) -> CompiledNetwork | None:
        """None: it is called as it is."""
        if not self.model.compiler:
            return None
        return CompiledNetwork(network, self.model.compiler, self.model.name, self.notices)

    def _pictures(self, size: int, plan: MemoryPlan) -> Pictures:
        vae = self._network("vae", self._vae_dtype)
        assert isinstance(vae, AutoencoderKL | AutoencoderTiny)
        vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        careful = Careful(vae, self._vae_dtype, self.machine.device, f"VAE of {self.model.name}", self.notices)
        return Pictures(
            vae, size, careful, one_by_one=plan.slice_vae, checkpointed=plan.checkpoint_vae, notices=self.notices
        )

    @property
    def _vae_dtype(self) -> torch.dtype:
        """Some VAEs, XL's first, say of themselves that they overflow in float16."""
        upcast = bool(part_config(self.found.folder, "vae").get("force_upcast", False))
        wider = wider_than(self.machine.dtype, self.machine.device)
        return wider if upcast and wider is not None else self.machine.dtype

    def _texts(self, plan: MemoryPlan) -> Texts:
        family = self.found.family
        index = read_json(self.found.folder / "model_index.json")
        network = part_config(self.found.folder, family.denoiser)
        on = PROCESSOR if plan.text == "processor" else self.machine
        encoders = Encoders(
            self._encoders, on, keep=plan.text == "stays", name=self.model.name, notices=self.notices
        )
        return Texts(
            encoders,
            _STYLES.get(family.name, "last"),
            self.machine.device,
            empty_is_zero=family is STABLE_DIFFUSION_XL and bool(index.get("force_zeros_for_empty_prompt", True)),
            width=int(network.get("joint_attention_dim", 0)),
        )

    def _encoders(self, on: Machine) -> Sequence[Encoder]:
        """Read anew each time: with a plan that frees them they are gone in between."""
        names = [name for name in self.found.family.encoders if self.found.has(name)]
        return [self._encoder(name, on) for name in names]

    def _encoder(self, name: str, on: Machine) -> Encoder:
        network = self._network(name, on.dtype).to(on.device)
        folder = str(self.found.folder)
        kind: Any = T5Tokenizer if isinstance(network, T5EncoderModel) else CLIPTokenizer
        tokenizer = kind.from_pretrained(
            folder, subfolder=name.replace("text_encoder", "tokenizer"), local_files_only=True
        )
        limit = T5_TOKENS if isinstance(network, T5EncoderModel) else clip_limit(tokenizer, network)
        return Encoder(tokenizer, network, limit)

    def _network(self, name: str, dtype: torch.dtype) -> nn.Module:
        """A part on the CPU, its LoRAs folded in, for evaluation only."""
        weights = next(one for one in self.found.weights if one.part.name == name)
        library_class = _CLASSES[_class_name(self.found, name)]
        of_transformers = weights.part.classes[0][0] == "transformers"
        network, info = library_class.from_pretrained(
            str(self.found.folder),
            subfolder=name,
            variant=weights.variant or None,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **{"dtype" if of_transformers else "torch_dtype": dtype},
        )
        missing = sorted(info["missing_keys"])
        if missing:
            raise ValueError(f"{name} lacks {len(missing)} of its weights, {missing[0]} among them")
        for lora in self.model.loras:
            fold(lora, self.found.family, name, network)
        return network.eval().requires_grad_(False)


def native_size(found: ModelFolder) -> int:
    """Pixels of the pictures that the model was trained on. Raises MaquetteError UNKNOWN_PRIOR if it does not say."""
    latent = part_config(found.folder, found.family.denoiser).get("sample_size")
    blocks = part_config(found.folder, "vae").get("block_out_channels", [])
    side = latent[0] if isinstance(latent, list) and latent else latent
    if not isinstance(side, int) or not blocks or not 0 < side <= 1024:
        raise unusable(found.folder, f"its network's sample_size is {latent}", "Set it to the latents' side, e.g. 64.")
    return side * 2 ** (len(blocks) - 1)


def _class_name(found: ModelFolder, part: str) -> str:
    return str(read_json(found.folder / "model_index.json")[part][1])
