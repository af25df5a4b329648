"""An optimiser's and its parameters' values as plain named arrays, so that checkpoints are safetensors and no pickle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from maquette_backend.refine.distil import Trained

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def to_arrays(state: Trained) -> dict[str, NDArray[np.generic]]:
    """Everything that changes over a stage's steps."""
    arrays = {f"color/{name}": value for name, value in state.color.state_dict().items()}
    arrays |= {f"body/{name}": value for name, value in state.body.state_dict().items()}
    for index, parameter in enumerate(_parameters(state.optimiser)):
        for moment in _MOMENTS:
            if moment in state.optimiser.state[parameter]:
                arrays[f"adam/{index}/{moment}"] = state.optimiser.state[parameter][moment]
    return {name: value.detach().cpu().numpy() for name, value in arrays.items()}


def restore(state: Trained, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put ``to_arrays``' values back, in place. Raises RuntimeError where they do not fit."""
    state.color.load_state_dict(_below("color/", arrays))
    state.body.load_state_dict(_below("body/", arrays))
    for index, parameter in enumerate(_parameters(state.optimiser)):
        moments = _below(f"adam/{index}/", arrays)
        if moments:
            state.optimiser.state[parameter] = {
                name: value if name == "step" else value.to(parameter.device) for name, value in moments.items()
            }


def _parameters(optimiser: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(value)) for name, value in arrays.items() if name.startswith(prefix)
    }
