"""A tiny model of each family, with random weights, made by diffusers' own classes and saved as their users save them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

SIDE = 8
"""Of the latents."""
SIZE = 16
"""Of the pictures: the VAEs have two levels."""
TOKENS = 16
_LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [",", "."]


def clip_tokenizer() -> CLIPTokenizer:
    """CLIP's own kind over single letters: a vocabulary that a test can write."""
    words = ["<|startoftext|>", "<|endoftext|>", *_LETTERS, *(f"{letter}</w>" for letter in _LETTERS)]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, merges=[], model_max_length=TOKENS)


def t5_tokenizer() -> T5Tokenizer:
    """T5's kind over single letters, too."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), *((letter, -2.0) for letter in _LETTERS)]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def clip_config(width: int, projection: int) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=2 + 2 * len(_LETTERS),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=TOKENS,
        projection_dim=projection,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
    )


def vae(channels: int = 4, **more: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 16),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        layers_per_block=1,
        **more,
    )


def unet(width: int, **more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIDE,
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=4,
        **more,
    )


def _ddim(prediction: str, **more: Any) -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type=prediction, **more
    )


def stable_diffusion(folder: Path, width: int = 12, prediction: str = "epsilon", **network: Any) -> Path:
    """Stable Diffusion 1 as it is; 2 with another width and ``v_prediction``."""
    torch.manual_seed(1)
    scale = {"scaling_factor": 0.18215}
    parts = (vae(**scale), CLIPTextModel(clip_config(width, width)), clip_tokenizer(), unet(width, **network))
    names = ("vae", "text_encoder", "tokenizer", "unet")
    pipeline = StableDiffusionPipeline(
        **dict(zip(names, parts, strict=True)),
        scheduler=_ddim(prediction),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def stable_diffusion_2(folder: Path) -> Path:
    return stable_diffusion(folder, width=20, prediction="v_prediction")


def stable_diffusion_xl(folder: Path) -> Path:
    torch.manual_seed(2)
    network = unet(
        24,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=6 * 4 + 10,
    )
    StableDiffusionXLPipeline(
        vae=vae(scaling_factor=0.13025, force_upcast=True),
        text_encoder=CLIPTextModel(clip_config(8, 8)),
        text_encoder_2=CLIPTextModelWithProjection(clip_config(16, 10)),
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        unet=network,
        scheduler=_ddim("epsilon"),
        add_watermarker=False,
    ).save_pretrained(folder)
    return folder


def stable_diffusion_3(folder: Path, third: bool = True) -> Path:
    torch.manual_seed(3)
    transformer = SD3Transformer2DModel(
        sample_size=SIDE,
        patch_size=2,
        in_channels=6,
        out_channels=6,
        num_layers=2,
        attention_head_dim=4,
        num_attention_heads=2,
        joint_attention_dim=28,
        caption_projection_dim=8,
        pooled_projection_dim=8 + 10,
        pos_embed_max_size=SIDE,
    )
    t5 = T5Config(vocab_size=64, d_model=28, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    StableDiffusion3Pipeline(
        transformer=transformer,
        vae=vae(6, scaling_factor=1.5305, shift_factor=0.0609, use_quant_conv=False, use_post_quant_conv=False),
        text_encoder=CLIPTextModelWithProjection(clip_config(8, 8)),
        text_encoder_2=CLIPTextModelWithProjection(clip_config(16, 10)),
        text_encoder_3=T5EncoderModel(t5) if third else None,
        tokenizer=clip_tokenizer(),
        tokenizer_2=clip_tokenizer(),
        tokenizer_3=t5_tokenizer() if third else None,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    ).save_pretrained(folder)
    return folder


def multi_view(folder: Path) -> Path:
    """MVDream's layout: cameras of 16 numbers through the class embedding."""
    return stable_diffusion(
        folder, class_embed_type="projection", projection_class_embeddings_input_dim=16
    )


def control_net(folder: Path, width: int = 12, seed: int = 5, **more: Any) -> Path:
    """A ControlNet for the tiny UNet of that text width. A new one's last layers are zero, so those are drawn, too."""
    torch.manual_seed(seed)
    network = ControlNetModel(
        block_out_channels=(8, 16),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        cross_attention_dim=width,
        attention_head_dim=4,
        norm_num_groups=4,
        conditioning_embedding_out_channels=(4, 8),
        **more,
    )
    for block in (*network.controlnet_down_blocks, network.controlnet_mid_block, network.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(block.weight, std=0.3)
    network.save_pretrained(folder)
    return folder


def control_net_xl(folder: Path) -> Path:
    return control_net(
        folder, 24, addition_embed_type="text_time", addition_time_embed_dim=4, projection_class_embeddings_input_dim=6 * 4 + 10
    )


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "stable-diffusion": stable_diffusion,
    "stable-diffusion-2": stable_diffusion_2,
    "stable-diffusion-xl": stable_diffusion_xl,
    "stable-diffusion-3": stable_diffusion_3,
    "multi-view": multi_view,
}


def edit_json(path: Path, **changes: Any) -> None:
    """Replace values in a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
