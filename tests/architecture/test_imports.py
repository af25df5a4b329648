"""docs/architecture.md is enforced here: who may import whom, and what nobody may do. Each rule catches a planted break."""

from __future__ import annotations

import subprocess
import sys

import pytest
from danger_rules import dangers
from import_rules import ADDON, BACKEND, BACKEND_ARROWS, PROTOCOL, broken_rules, imports
from repository import ROOT, files

SOURCES = files("*.py")


def test_every_part_is_seen() -> None:
    """A wrong path would make all that follows pass with nothing looked at."""
    for root in (ADDON, PROTOCOL, *(f"{BACKEND}{part}" for part in BACKEND_ARROWS)):
        assert any(path.startswith(root) for path in SOURCES), root
    packages = {path.split("/")[2].removesuffix(".py") for path in SOURCES if path.startswith(BACKEND)}
    assert packages == set(BACKEND_ARROWS)


def test_the_architecture_holds() -> None:
    assert [broken for path, source in SOURCES.items() for broken in broken_rules(path, source)] == []


def test_nothing_dangerous() -> None:
    assert [danger for path, source in SOURCES.items() for danger in dangers(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (f"{BACKEND}refine/job.py", "import bpy"),
        (f"{PROTOCOL}mesh.py", "from mathutils import Matrix"),
        ("tests/backend/test_x.py", "import bpy.types"),
        (f"{ADDON}jobs.py", "import torch"),
        (f"{PROTOCOL}mesh.py", "def f():\n    from torch import Tensor"),
        (f"{BACKEND}server/gateway.py", "import importlib\nimportlib.import_module('torch.cuda')"),
        (f"{PROTOCOL}session.py", "import zmq"),
        (f"{ADDON}jobs.py", "import zmq"),
        (f"{BACKEND}refine/job.py", "from zmq import Context"),
        (f"{ADDON}jobs.py", "from maquette_backend.refine import job"),
        (f"{ADDON}jobs.py", "from maquette_protocol import limits"),
        (f"{BACKEND}refine/job.py", "from blender_addon import jobs"),
        (f"{ADDON}jobs.py", "from blender_addon import pump"),
        (f"{PROTOCOL}mesh.py", "import maquette_backend"),
        (f"{PROTOCOL}mesh.py", "from maquette_protocol import limits"),
        (f"{PROTOCOL}mesh.py", "from ..outside import thing"),
        (f"{PROTOCOL}mesh.py", "import msgpack"),
        (f"{PROTOCOL}mesh.py", "import scipy"),
        (f"{BACKEND}render/antialias.py", "from maquette_backend.shape.bcc import grid"),
        (f"{BACKEND}render/antialias.py", "from ..shape import bcc"),
        (f"{BACKEND}render/antialias.py", "from .. import shape"),
        (f"{BACKEND}priors/load.py", "from maquette_backend.guidance import sds"),
        (f"{BACKEND}fields/grid_field.py", "from maquette_backend.render import cameras"),
        (f"{BACKEND}refine/job.py", "from maquette_backend.server.keys import is_key"),
        (f"{BACKEND}server/serve.py", "from ..workers.process import main"),
        (f"{BACKEND}server/serve.py", "from ..priors import load"),
        (f"{BACKEND}novelty/new.py", "from maquette_backend.render import cameras"),
    ],
)
def test_a_planted_import_is_caught(path: str, source: str) -> None:
    (broken,) = {line.partition(": ")[0] for line in broken_rules(path, source)}
    assert broken.startswith(f"{path}:")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        (f"{BACKEND}guidance/sds.py", "from maquette_backend.priors.prior import Prior"),
        (f"{BACKEND}appearance/fields.py", "from maquette_backend.fields.grid_field import GridField"),
        (f"{BACKEND}shape/sdf.py", "from . import sides\nfrom .adjacency import parts"),
        (f"{BACKEND}server/serve.py", "from ..workers.local import LocalExecutor\nimport zmq"),
        (f"{BACKEND}server/serve.py", "from ..workers import local"),
        (f"{PROTOCOL}codec.py", "import msgpack\nfrom . import limits\nfrom .plain import to_plain"),
        (f"{ADDON}wire.py", "import zmq\nimport bpy\nfrom ._protocol import auth"),
        (f"{ADDON}_protocol.py", "from maquette_protocol import auth"),
        ("tests/end_to_end/test_x.py", "import bpy\nimport torch"),
    ],
)
def test_an_allowed_import_passes(path: str, source: str) -> None:
    assert broken_rules(path, source) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "def f():\n    from cloudpickle import loads",
        "import torch\ntorch.load('x')",
        "import torch as th\nread = th.load",
        "from torch import load as get\nget('x')",
        "eval('1')",
        "run = exec",
        "import builtins\nbuiltins.eval('1')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=chosen)",
        "np.load('x', allow_pickle=True)",
        "socket.bind('tcp://*:5555')",
        "socket.bind(f'tcp://0.0.0.0:{port}')",
        "server.bind(('0.0.0.0', 80))",
    ],
)
@pytest.mark.parametrize("path", [f"{BACKEND}server/gateway.py", "tests/backend/test_x.py", "tools/demo.py"])
def test_a_planted_danger_is_caught(path: str, source: str) -> None:
    assert dangers(path, source)


def test_harmless_lookalikes_pass() -> None:
    source = (
        "network.eval()\nnp.load(f, allow_pickle=False)\nsafetensors.torch.load(data)\nsocket.bind('tcp://127.0.0.1:0')"
    )
    assert dangers(f"{BACKEND}x.py", f'"""Not tcp://*, no pickle."""\n{source}') == []
    assert dangers("tests/test_x.py", "BAD = 'tcp://*:1'") == []
    assert dangers(f"{BACKEND}x.py", "HOST = 'tcp://*:1'") != []


def test_relative_imports_are_resolved() -> None:
    found = [use.module for use in imports(f"{BACKEND}server/gateway.py", "from ..workers import local")]
    assert found == ["maquette_backend.workers", "maquette_backend.workers.local"]
    inside = [use.module for use in imports(f"{BACKEND}server/__init__.py", "from .gateway import Gateway")]
    assert inside == ["maquette_backend.server.gateway", "maquette_backend.server.gateway.Gateway"]


@pytest.mark.parametrize("package", ["maquette_backend.server", "maquette_protocol", "maquette_backend.cli.main"])
def test_torch_is_never_loaded(package: str) -> None:
    """Nor through what the gateway, the protocol and the command line import: every module, in a fresh interpreter."""
    walk = (
        "import importlib, pkgutil, sys\n"
        f"root = importlib.import_module({package!r})\n"
        "for found in pkgutil.walk_packages(getattr(root, '__path__', []), root.__name__ + '.'):\n"
        "    importlib.import_module(found.name)\n"
        "wanted = [n for n in sys.modules if n.startswith('maquette_')]\n"
        "print(len(wanted), sorted({n.partition('.')[0] for n in sys.modules} & {'torch', 'numba', 'bpy'}))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", walk], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    count, _, heavy = ran.stdout.strip().partition(" ")
    assert int(count) >= 3
    assert heavy == "[]"


def test_the_protocol_is_loaded_without_zmq() -> None:
    code = "import sys, maquette_protocol, maquette_protocol.session; sys.exit('zmq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
