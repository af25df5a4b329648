"""An optimiser's and its parameters' values as plain named arrays, so that checkpoints are safetensors and no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from maquette_backend.refine.distil import Trained
from maquette_backend.refine.painting import Painter

Arrays = dict[str, NDArray[np.generic]]
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class Stateful(Protocol):
    """What an ``nn.Module`` can, and a body."""

    def state_dict(self) -> dict[str, torch.Tensor]: ...
    def load_state_dict(self, state_dict: dict[str, torch.Tensor]) -> object: ...


def to_arrays(state: Trained | Painter) -> Arrays:
    """Everything that changes over a stage's steps."""
    arrays = parts_to_arrays(_parts(state))
    for index, parameter in enumerate(_parameters(state.optimiser)):
        for moment in _MOMENTS:
            if moment in state.optimiser.state[parameter]:
                arrays[f"adam/{index}/{moment}"] = _plain(state.optimiser.state[parameter][moment])
    return arrays


def restore(state: Trained | Painter, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put ``to_arrays``' values back, in place. Raises RuntimeError where they do not fit."""
    restore_parts(_parts(state), arrays)
    for index, parameter in enumerate(_parameters(state.optimiser)):
        moments = _below(f"adam/{index}/", arrays)
        if moments:
            state.optimiser.state[parameter] = {
                name: value if name == "step" else value.to(parameter.device) for name, value in moments.items()
            }


def parts_to_arrays(parts: Mapping[str, Stateful]) -> Arrays:
    """The values of named parts, without any optimiser."""
    return {
        f"{part}/{name}": _plain(value) for part, module in parts.items() for name, value in module.state_dict().items()
    }


def restore_parts(parts: Mapping[str, Stateful], arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """``parts_to_arrays``' opposite, in place. Raises RuntimeError where they do not fit."""
    for part, module in parts.items():
        module.load_state_dict(_below(f"{part}/", arrays))


def _parts(state: Trained | Painter) -> dict[str, Stateful]:
    if isinstance(state, Trained):
        return {"color": state.color, "body": state.body}
    return {f"skin/{name}": skin for name, skin in state.skins.items()}


def _plain(value: torch.Tensor) -> NDArray[np.generic]:
    return value.detach().cpu().numpy()


def _parameters(optimiser: torch.optim.Optimizer) -> list[torch.nn.Parameter]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(value)) for name, value in arrays.items() if name.startswith(prefix)
    }
