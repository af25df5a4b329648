"""The priors that clients may choose, as the list of registered models is now."""

from __future__ import annotations

import logging
from pathlib import Path

from maquette_protocol.errors import MaquetteError

from ..priors.catalogue import control_names, prior_names

_LOG = logging.getLogger(__name__)


class PriorNames:
    """Reads the list anew for each greeting and each job, so that a model can be added while the backend runs."""

    def __init__(self, models: Path) -> None:
        """``models``: the home's folder for them. Raises MaquetteError INTERNAL if their list can't be read."""
        self._models = models
        self._last = prior_names(models)
        self._last_controls = control_names(models)

    def __call__(self) -> tuple[str, ...]:
        """The names, the default first. A list that has become unreadable is reported, and the last one stands."""
        try:
            self._last = prior_names(self._models)
        except MaquetteError as error:
            _LOG.error("%s", error)
        return self._last

    def controls(self) -> tuple[str, ...]:
        """The names of the ControlNets, likewise."""
        try:
            self._last_controls = control_names(self._models)
        except MaquetteError as error:
            _LOG.error("%s", error)
        return self._last_controls
