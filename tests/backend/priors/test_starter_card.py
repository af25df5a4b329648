"""The card's example runs as it stands, with the libraries that it names, and gives a picture of what it asked for."""

from __future__ import annotations

import re

import torch
from maquette_backend.priors.starter.folder import SHIPPED


def test_the_example_gives_a_red_thing_on_grey() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    names: dict[str, torch.Tensor] = {}
    exec(example.replace("path/to/this/folder", SHIPPED.as_posix()), names)  # our own file, shipped with the package
    inside = names["coverage"][0, 0] > 0
    assert 0.05 < inside.float().mean() < 0.9
    red, _green, blue = names["color"][0].clamp(-1, 1)[:, inside].mean(1)
    assert red > blue + 0.3
    assert names["color"][0][:, ~inside].abs().mean() < 0.1
