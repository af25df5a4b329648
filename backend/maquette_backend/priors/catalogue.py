"""Which priors exist. Free of torch: the gateway reads this list to greet clients."""

from __future__ import annotations

from pathlib import Path

from maquette_backend.priors.registry import BUILT_IN, STARTER, STARTER_VIEWS, find, find_control, read_registry

__all__ = ["BUILT_IN", "STARTER", "STARTER_VIEWS", "control_identity", "control_names", "prior_identity", "prior_names"]


def prior_names(models: Path | None = None) -> tuple[str, ...]:
    """Names that a recipe may ask for, the default first, then those registered in the home's folder ``models``.

    Raises MaquetteError INTERNAL if the list of registered models can't be read.
    """
    registered = read_registry(models) if models is not None else {}
    return (*BUILT_IN, *(name for name, model in registered.items() if not model.shows))


def control_names(models: Path) -> tuple[str, ...]:
    """ControlNets that a recipe may ask for. Raises as ``prior_names``."""
    return tuple(name for name, model in read_registry(models).items() if model.shows)


def prior_identity(models: Path, name: str) -> str:
    """What ``name`` stands for now: it changes when another model is registered under the same name.

    Raises MaquetteError UNKNOWN_PRIOR, which names those that exist.
    """
    return name if name in BUILT_IN else find(read_registry(models), name).identity


def control_identity(models: Path, name: str) -> str:
    """The same for a ControlNet."""
    return find_control(read_registry(models), name).identity
