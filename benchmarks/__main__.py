"""``python -m benchmarks [--only raster]``: measure every part, print a table, write out/bench.json."""

from __future__ import annotations

import os
import sys

# before torch or numba are loaded: threads that spin while they wait starve each other and falsify every figure
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from benchmarks.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
