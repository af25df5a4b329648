"""What the tests of diffusers models share: each family's tiny folder, made once, and the prior loaded from it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from maquette_backend.priors.diffusers.diffusers_prior import DiffusersPrior
from maquette_backend.priors.diffusers.loading import Machine, load_model
from maquette_backend.priors.registry import describe
from tiny_models import FAMILIES

sys.path[:0] = [str(Path(__file__).parents[2] / part) for part in ("refine", "guidance")]

CPU = Machine(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A family's folder, not to be changed; copy it first."""

    @lru_cache
    def make(family: str) -> Path:
        return FAMILIES[family](tmp_path_factory.mktemp(family) / "model")

    return make


@pytest.fixture(scope="session")
def prior_of(folder_of: Callable[[str], Path]) -> Callable[[str], DiffusersPrior]:
    """A family's prior, loaded as a job loads it."""

    @lru_cache
    def load(family: str) -> DiffusersPrior:
        return load_model(describe(family, folder_of(family)), CPU)

    return load
