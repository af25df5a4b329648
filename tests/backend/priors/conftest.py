"""What the prior tests share: the shipped prior, loaded once, and pictures it never saw."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from held_out_pictures import HeldOut, load_held_out
from maquette_backend.priors.starter.starter_prior import StarterPrior, load_starter


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on few cores: threads cost more than they bring."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def starter() -> StarterPrior:
    return load_starter(torch.device("cpu"))


@pytest.fixture(scope="session")
def held_out() -> HeldOut:
    return load_held_out()
