"""How a model is laid out in a GPU's memory, decided from how much of it is free. A pure function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maquette_protocol.errors import ErrorCode, MaquetteError

Where = Literal["stays", "visits", "processor"]
GIB = 2**30
RESERVE = GIB
"""For the renderer, the subject being refined and the libraries' own workspace."""


@dataclass(frozen=True)
class Needs:
    """What a model takes, bytes, in half precision."""

    denoiser: int
    vae: int
    text: int
    """All text encoders."""
    denoising: int
    """Beyond its weights, for each sample that the denoiser looks at."""
    encoding: int
    """What the VAE keeps of each picture until its gradient is known."""
    encoding_checkpointed: int
    """The same when most of it is computed again."""
    controls: int = 0
    """The weights of ControlNets that will be loaded beside it."""


@dataclass(frozen=True)
class MemoryPlan:
    """What to do."""

    text: Where
    """The text encoders stay on the GPU; or visit it: are loaded for new prompts and freed after them; or do that on the
    processor, slowly."""
    samples: int
    """The denoiser looks at this many at a time; both halves of guidance count."""
    slice_vae: bool
    """The VAE takes one picture at a time, and computes it again for its gradient."""
    checkpoint_vae: bool
    """Within a picture, too, the VAE's blocks are computed again."""


EVERYTHING = MemoryPlan(text="stays", samples=1 << 20, slice_vae=False, checkpoint_vae=False)
"""Where memory is no concern."""


def plan_memory(free: int, needs: Needs, views: int, together: int = 1) -> MemoryPlan:
    """The quickest plan that fits ``free`` bytes for steps of ``views`` views, ``together`` of which are one sample.

    What costs the least time is given up first: the text encoders' place (prompts are few, and remembered), then whole
    batches in the VAE, then both halves of guidance at once.

    Raises:
        MaquetteError: OUT_OF_MEMORY, which says how much is needed.
    """
    smallest = max(1, together)
    for plan in _plans(views, smallest):
        if _peak(plan, needs, views) + RESERVE <= free:
            return plan
    least = _peak(MemoryPlan("processor", smallest, True, True), needs, views) + RESERVE
    who, remedy = "this model needs", "Choose a smaller model, or close what else uses the GPU."
    if needs.controls:
        who, remedy = "this model with its ControlNets needs", f"Leave a ControlNet out. {remedy}"
    text = f"The GPU has {free / GIB:.1f} GiB free; {who} {least / GIB:.1f} GiB."
    raise MaquetteError(ErrorCode.OUT_OF_MEMORY, text, remedy)


def _plans(views: int, smallest: int) -> list[MemoryPlan]:
    both = 2 * views
    fewer = [both]
    while fewer[-1] > smallest:
        fewer.append(max(smallest, fewer[-1] // 2 // smallest * smallest))
    places: tuple[Where, ...] = ("stays", "visits", "processor")
    vae = ((False, False), (True, False), (True, True))
    return [MemoryPlan(text, samples, *cuts) for samples in fewer for cuts in vae for text in places]


def _peak(plan: MemoryPlan, needs: Needs, views: int) -> int:
    """The most that is held at once. Text is encoded before the step, the VAE's share lives through the denoising."""
    held = needs.denoiser + needs.vae + needs.controls
    encoding = needs.encoding_checkpointed if plan.checkpoint_vae else needs.encoding
    # in slices nothing is kept but the pictures; what one of them takes comes and goes outside of the denoising
    step = max(plan.samples * needs.denoising, encoding) if plan.slice_vae else (
        plan.samples * needs.denoising + views * encoding
    )
    if plan.text == "stays":
        return held + needs.text + step
    return held + (max(needs.text, step) if plan.text == "visits" else step)
