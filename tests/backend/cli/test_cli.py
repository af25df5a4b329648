"""The command line: keys, models, doctor's verdict, and what ``refine`` writes."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import trimesh
from maquette_backend.cli.doctor import Finding, findings, report
from maquette_backend.cli.main import main
from maquette_backend.cli.refine_command import DiskEvents, read_blob, safe_name, write_glb
from maquette_backend.refine.events import RefinedSubject
from maquette_backend.server.keys import generate_key_pair
from maquette_protocol.arrays import array_ref
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import PromptReading
from maquette_protocol.recipe import ArrayRef, MeshRef, Recipe, Subject
from PIL import Image


def test_keys_are_enrolled_listed_and_revoked(tmp_path, capsys):
    public = generate_key_pair().public
    home = ["--home", str(tmp_path)]
    assert main(["keys", "enrol", public, "--name", "ada", *home]) == 0
    assert main(["keys", "list", *home]) == 0
    assert f"{public}  ada" in capsys.readouterr().out
    assert main(["keys", "revoke", public, *home]) == 0
    assert main(["keys", "revoke", public, *home]) == 1
    assert main(["keys", "list", *home]) == 0
    assert "ada" not in capsys.readouterr().out.replace("revoked", "")
    assert main(["keys", "enrol", "nonsense", *home]) == 1
    assert "not a public key" in capsys.readouterr().err


def test_an_open_bind_without_keys_is_refused_in_one_line(tmp_path, capsys):
    assert main(["serve", "--home", str(tmp_path), "--endpoint", "tcp://0.0.0.0:0"]) == 1
    said = capsys.readouterr().err
    assert "no client key is enrolled" in said
    assert "keys enrol" in said


def test_the_models_are_those_a_recipe_may_name(capsys):
    assert main(["models"]) == 0
    assert "starter" in capsys.readouterr().out.split()


def test_the_gateways_modules_do_not_import_torch():
    script = "import sys, maquette_backend.server.serve, maquette_backend.cli.main; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_doctor_finds_the_main_job_runnable_here(tmp_path):
    out = io.StringIO()
    assert report(findings(tmp_path), out) == 0
    assert "The main job can run." in out.getvalue()


def test_doctor_names_what_keeps_the_main_job_from_running_and_what_to_do():
    out = io.StringIO()
    found = [Finding("torch", False, "not installed", "Install it."), Finding("GPU", False, "none", needed=False)]
    assert report(found, out) == 1
    assert "without: torch." in out.getvalue()
    assert "Install it." in out.getvalue()


def test_a_glb_has_the_mesh_y_up_and_each_corners_colour(tmp_path):
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 2]], np.float32)
    triangles = np.array([[0, 1, 2], [0, 3, 1]], np.int32)
    uvs = np.array([[[0, 0], [0.4, 0], [0, 0.4]], [[0.6, 0.6], [1, 1], [1, 0.6]]], np.float32)
    color = np.zeros((8, 8, 3), np.uint8)
    color[:4], color[4:] = (255, 0, 0), (0, 0, 255)  # row 0 at the bottom: red below, blue above
    write_glb(RefinedSubject("s", True, positions, triangles, uvs, color), tmp_path / "s.glb")
    mesh = trimesh.load(tmp_path / "s.glb", force="mesh")
    y_up = positions[:, [0, 2, 1]] * np.float32([1, 1, -1])
    np.testing.assert_allclose(mesh.vertices[mesh.faces], y_up[triangles])
    np.testing.assert_allclose(mesh.visual.uv[mesh.faces], uvs, atol=1e-6)
    picture = np.asarray(mesh.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(picture, color[::-1])
    assert isinstance(mesh.visual.material.baseColorTexture, Image.Image)


def test_a_glb_has_a_materials_maps_packed_as_gltf_wants_them(tmp_path):
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.float32)
    triangles = np.array([[0, 1, 2]], np.int32)
    uvs = np.array([[[0, 0], [1, 0], [0, 1]]], np.float32)
    random = np.random.default_rng(0)
    color, normal = (random.integers(0, 256, (8, 8, 3)).astype(np.uint8) for _ in range(2))
    rough, metal = (random.integers(0, 256, (8, 8)).astype(np.uint8) for _ in range(2))
    subject = RefinedSubject(
        "s", True, positions, triangles, uvs, color, roughness=rough, metallic=metal, normal=normal
    )
    write_glb(subject, tmp_path / "s.glb")
    material = trimesh.load(tmp_path / "s.glb", force="mesh").visual.material
    packed = np.asarray(material.metallicRoughnessTexture.convert("RGB"))
    np.testing.assert_array_equal(packed[..., 1], rough[::-1])
    np.testing.assert_array_equal(packed[..., 2], metal[::-1])
    np.testing.assert_array_equal(np.asarray(material.normalTexture.convert("RGB")), normal[::-1])
    assert (material.metallicFactor, material.roughnessFactor) == (1.0, 1.0)


def test_a_blob_is_read_by_its_hash_and_a_missing_one_is_named(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    ref = array_ref(array)
    with pytest.raises(MaquetteError, match=ref.sha256) as caught:
        read_blob(tmp_path, ref)
    assert caught.value.code == ErrorCode.BLOB_MISSING
    (tmp_path / ref.sha256).write_bytes(array.tobytes())
    np.testing.assert_array_equal(read_blob(tmp_path, ref), array)


def test_what_the_prior_makes_of_prompts_is_printed_on_lines_of_their_own(tmp_path, capsys):
    mesh = MeshRef(ArrayRef("a" * 64, "f4", (3, 3)), ArrayRef("b" * 64, "i4", (1, 3)))
    recipe = Recipe((Subject("c" * 32, "Chair", "a dragon", mesh),))
    DiskEvents(recipe, tmp_path).prompts_read((PromptReading("c" * 32, 8, "unknown", "statue", 0.42),))
    said = capsys.readouterr().err.replace("\N{NO-BREAK SPACE}", " ")
    assert said.strip("\r") == "The starter prior doesn't know “a dragon” well; nearest: statue (42 %).\n"


@pytest.mark.parametrize("name", ["Chair", "../x", "a/b", "", "…", "Stuhl (groß).001"])
def test_no_objects_name_leaves_the_folder(tmp_path, name):
    made = (tmp_path / f"{safe_name(name)}.glb").resolve()
    assert made.parent == tmp_path.resolve()
    assert made.stem
