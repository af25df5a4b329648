"""The add-on carries the package as a copy under another name: nothing in it may depend on its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import maquette_protocol


def test_copy_under_another_name_is_whole(tmp_path: Path) -> None:
    shutil.copytree(Path(maquette_protocol.__file__).parent, tmp_path / "addon_copy")
    program = (
        "import pkgutil, importlib, sys, addon_copy;"
        "names = [m.name for m in pkgutil.iter_modules(addon_copy.__path__)];"
        "[importlib.import_module(f'addon_copy.{n}') for n in names];"
        "assert len(names) > 15;"
        "foreign = {m.split('.')[0] for m in sys.modules} & {'maquette_protocol', 'zmq', 'bpy', 'torch'};"
        "assert not foreign, foreign"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
