"""What ControlNets are shown of a step's views: depth and normals as the pictures that they learned from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from maquette_backend.priors.control import ControlNet, HearsControls, Hint
from maquette_backend.priors.prior import Prior
from maquette_backend.render.scene_render import SceneRendering


@dataclass(frozen=True)
class Controlled:
    """A ControlNet that a recipe names, loaded."""

    control: ControlNet
    weight: float


def hearing(prior: Prior, controls: Sequence[Controlled], drawn: SceneRendering) -> AbstractContextManager[None]:
    """Within it ``prior`` hears what the controls say of the views that were drawn."""
    speaking = [one for one in controls if one.weight]
    if not speaking:
        return nullcontext()
    assert isinstance(prior, HearsControls)
    pictures = {shows: picture(drawn).detach() for shows, picture in (("depth", depth_picture), ("normal", normal_picture))}
    return prior.hearing([Hint(one.control, pictures[one.control.shows], one.weight) for one in speaking])


def depth_picture(drawn: SceneRendering) -> Tensor:
    """[N,3,H,W] in 0..1: inverse depth, 1 at what is nearest in each picture and 0 infinitely far off, as of the background.

    MiDaS' kind of depth (Ranftl et al. 2020), which ControlNets for depth were trained on.
    """
    near = torch.where(drawn.depth > 0, 1 / drawn.depth.clamp(min=1e-6), torch.zeros_like(drawn.depth))
    nearest = near.amax((1, 2, 3), keepdim=True).clamp(min=1e-6)
    return (near / nearest).expand(-1, 3, -1, -1)


def normal_picture(drawn: SceneRendering) -> Tensor:
    """[N,3,H,W] in 0..1: view-space normals, red to the left, green up, blue to the viewer, whom the background faces.

    So both of ControlNet's models for normals (Zhang et al. 2023) saw them; ours have x to the right.
    """
    towards = drawn.normal.new_tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    left_up_front = drawn.normal * drawn.normal.new_tensor([-1.0, 1.0, 1.0]).view(1, 3, 1, 1)
    return ((left_up_front + (1 - drawn.mask) * towards + 1) / 2).clamp(0, 1)
