"""Parameters and their optimiser's memory as plain named arrays: checkpoints are safetensors and no pickle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from maquette_backend.guidance.distiller import Arrays


def to_arrays(module: nn.Module, optimiser: torch.optim.Optimizer) -> Arrays:
    """Everything that training ``module`` changes. The optimiser's parameters are the module's, in its order."""
    values = {f"weights/{name}": value for name, value in module.state_dict().items()}
    for number, parameter in enumerate(_parameters(optimiser)):
        for name, value in optimiser.state.get(parameter, {}).items():
            if isinstance(value, torch.Tensor):
                values[f"optimiser/{number}/{name}"] = value
    return {name: value.detach().cpu().numpy().copy() for name, value in values.items()}


def restore(module: nn.Module, optimiser: torch.optim.Optimizer, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Put ``to_arrays``' values back, in place. Raises RuntimeError where they do not fit."""
    module.load_state_dict(_below("weights/", arrays))
    optimiser.state.clear()
    for number, parameter in enumerate(_parameters(optimiser)):
        memory = _below(f"optimiser/{number}/", arrays)
        if memory:
            optimiser.state[parameter] = {
                name: value if name == "step" else value.to(parameter.device) for name, value in memory.items()
            }


def _parameters(optimiser: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [parameter for group in optimiser.param_groups for parameter in group["params"]]


def _below(prefix: str, arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(value))
        for name, value in arrays.items()
        if name.startswith(prefix)
    }
