"""Runs the comparison from the command line."""

from __future__ import annotations

import os
import sys

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded: threads that spin starve each other

from maquette_backend.ablate.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
