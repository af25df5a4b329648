"""Turns a prior's name into a prior, ready on a device. The torch-free list of names is in ``catalogue``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import torch

from maquette_backend.priors.catalogue import BUILT_IN, STARTER_VIEWS
from maquette_backend.priors.control import ControlNet
from maquette_backend.priors.control_folder import ControlFolder, inspect_control
from maquette_backend.priors.prior import Prior
from maquette_backend.priors.registry import Model, find_control, find_prior, read_registry
from maquette_backend.priors.starter.starter_prior import load_starter


def load_prior(
    name: str, device: torch.device | str, models: Path | None = None, controls: Collection[str] = ()
) -> Prior:
    """The prior called ``name``: one of the built-in ones, or one registered in the home's folder ``models``. ``controls``:
    ControlNets that will be loaded beside it, for which a GPU is left room.

    Raises MaquetteError UNKNOWN_PRIOR, which names those that exist or what is wrong with this one, OUT_OF_MEMORY if
    the GPU has no room, and INTERNAL if the starter's files or the list can't be used.
    """
    if name in BUILT_IN:
        return load_starter(torch.device(device), together=name == STARTER_VIEWS)
    known = {} if models is None else read_registry(models)
    model, beside = find_prior(known, name), [_looked_at(find_control(known, one)) for one in controls]
    # only here: it imports every family's code, which a job with the starter does without
    from maquette_backend.priors.diffusers.loading import Machine, load_model

    return load_model(model, Machine.of(torch.device(device)), beside)


def _looked_at(control: Model) -> ControlFolder:
    from maquette_backend.priors.diffusers.machine import reading

    with reading(control):
        return inspect_control(control.folder)


def load_control(name: str, device: torch.device | str, models: Path) -> ControlNet:
    """The ControlNet called ``name``, registered in the home's folder ``models``.

    Raises MaquetteError UNKNOWN_PRIOR, which names those that exist or what is wrong with this one.
    """
    model = find_control(read_registry(models), name)
    from maquette_backend.priors.diffusers.control import load_control_net
    from maquette_backend.priors.diffusers.loading import Machine

    return load_control_net(model, Machine.of(torch.device(device)))
