"""``python -m maquette_backend``: serve, refine, doctor, keys, models."""

from __future__ import annotations

import sys

from .cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
