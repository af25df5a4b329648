"""Turns a prior's name into a prior, ready on a device. The torch-free list of names is in ``catalogue``."""

from __future__ import annotations

import torch
from maquette_protocol.errors import ErrorCode, MaquetteError

from maquette_backend.priors.catalogue import STARTER, prior_names
from maquette_backend.priors.prior import Prior
from maquette_backend.priors.starter.starter_prior import load_starter


def load_prior(name: str, device: torch.device | str) -> Prior:
    """The prior called ``name``.

    Raises MaquetteError UNKNOWN_PRIOR, which names those that exist, and INTERNAL if its files can't be used.
    """
    if name == STARTER:
        return load_starter(torch.device(device))
    known = ", ".join(prior_names())
    raise MaquetteError(ErrorCode.UNKNOWN_PRIOR, f"There is no prior called “{name}”.", f"Choose one of: {known}.")
