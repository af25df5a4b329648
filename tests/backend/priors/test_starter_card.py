"""The card's example runs as it stands, in a process without this package's code, and shows what it asked for."""

from __future__ import annotations

import re
import subprocess
import sys

from maquette_backend.priors.starter.folder import SHIPPED

CHECK = """
import sys
inside = coverage[0, 0] > 0
assert 0.05 < inside.float().mean() < 0.9, "the sofa fills a sensible part of the picture"
red, green, blue = color[0].clamp(-1, 1)[:, inside].mean(1)
assert red > blue + 0.3, "it is red"
assert color[0][:, ~inside].abs().mean() < 0.1, "the rest is grey"
assert not [name for name in sys.modules if name.startswith("maquette")], "nothing of Maquette was needed"
"""


def test_the_example_gives_a_red_thing_on_grey() -> None:
    card = (SHIPPED / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    program = example.replace("path/to/this/folder", SHIPPED.as_posix()) + CHECK
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
