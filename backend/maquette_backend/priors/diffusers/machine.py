"""Where a model is loaded, from what, and what its errors say to clients."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from maquette_protocol.errors import MaquetteError
from safetensors import SafetensorError

from maquette_backend.priors.diffusers.precision import half_for
from maquette_backend.priors.model_folder import unusable
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


def check_unchanged(model: Model) -> None:
    """Raises MaquetteError UNKNOWN_PRIOR if its files are not what was registered; see ``Model.problems``."""
    problem = next(model.problems(thorough=False), None)
    if problem is not None:
        again = f"Put it back, or register it anew: models remove {model.name}, then models add."
        raise unusable(model.folder, problem, again)


@contextmanager
def reading(model: Model) -> Iterator[None]:
    """Within it a registered model's files are read, and what goes wrong is said in words for clients.

    Raises:
        MaquetteError: as it is raised within; UNKNOWN_PRIOR where a file can't be read or doesn't fit.
    """
    try:
        yield
    except MaquetteError as error:
        raise for_clients(error, model) from error
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        if isinstance(error, torch.cuda.OutOfMemoryError):
            raise
        first_line = str(error).strip().partition("\n")[0][:300]
        text = unusable(model.folder, f"{type(error).__name__}: {first_line}", "Its owner can run: models verify.")
        raise for_clients(text, model) from error
