"""Where a model is loaded, and what its errors say to clients."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from maquette_protocol.errors import MaquetteError

from maquette_backend.priors.diffusers.precision import half_for
from maquette_backend.priors.registry import Model


@dataclass(frozen=True)
class Machine:
    """Where a model is loaded, and how."""

    device: torch.device
    dtype: torch.dtype
    free_bytes: int | None = None
    """Of the GPU's memory; None where memory is no concern."""

    @staticmethod
    def of(device: torch.device) -> Machine:
        """As it is now."""
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
        return Machine(device, half_for(device), free)


def for_clients(error: MaquetteError, model: Model) -> MaquetteError:
    """The same with the model's name for its folder: a job's errors travel, and where files lie is the owner's affair."""
    message = error.message.replace(f"model in {model.folder}", f"prior “{model.name}”")
    return MaquetteError(error.code, message.replace(f"{model.folder}/", "").replace(str(model.folder), "its folder"), error.remedy)
