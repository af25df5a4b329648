"""The main job, small: real Blender, the installed extension, a real backend process, the learned prior."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import blender_scenes as scenes
import bpy
import numpy as np
import pytest
from driving import Addon, begin, pump_until

pytestmark = [pytest.mark.blender, pytest.mark.timeout(240)]

JOB_SECS = 200.0
BOXES = [((0, 0, 0.42), (0.5, 0.5, 0.12)), ((0, 0.2, 0.75), (0.5, 0.12, 0.6))] + [
    ((x, y, 0.2), (0.13, 0.13, 0.42)) for x in (-0.18, 0.18) for y in (-0.18, 0.18)
]


def coarse_chair(name: str = "Chair", **settings: object) -> bpy.types.Object:
    """A chair of six overlapping boxes, turned, scaled unevenly and parented: a target."""
    for center, size in BOXES:
        bpy.ops.mesh.primitive_cube_add(size=1, location=center, scale=size)
        bpy.context.object.name = "Part"
    parts = [thing for thing in bpy.data.objects if thing.name.startswith("Part")]
    bpy.ops.object.select_all(action="DESELECT")
    for part in parts:
        part.select_set(True)
    bpy.context.view_layer.objects.active = parts[0]
    bpy.ops.object.join()
    chair = parts[0]
    chair.name = chair.data.name = name
    chair.location, chair.rotation_euler, chair.scale = (2, -1, 0.5), (0, 0, 0.7), (1.2, 1.0, 0.9)
    scenes.add_target(chair, "a brown wooden chair")
    return chair


def small(steps: int = 6) -> None:
    """Sizes at which the whole job takes seconds."""
    asked = bpy.context.scene.maquette
    asked.geometry_steps, asked.appearance_steps, asked.grid_resolution = steps, steps, 32
    asked.views_per_step, asked.texture_size, asked.preview_every = 2, "256", 2


def positions(thing: bpy.types.Object) -> np.ndarray:
    out = np.zeros((len(thing.data.vertices), 3), np.float32)
    thing.data.attributes["position"].data.foreach_get("vector", out.ravel())
    return out


def test_a_coarse_mesh_becomes_a_refined_textured_one(addon: Addon, served: Path) -> None:
    chair = coarse_chair()
    scenes.cube("Bystander", location=(-3, 0, 0), prompt=None)
    bpy.context.view_layer.objects.active = chair
    small()
    before = scenes.state()
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    result = chair.maquette.result
    bpy.context.view_layer.update()
    np.testing.assert_allclose(result.matrix_world, chair.matrix_world, atol=1e-6)
    # it is a closed surface, near the coarse one and yet another
    edges = Counter(frozenset(key) for face in result.data.polygons for key in face.edge_keys)
    assert set(edges.values()) == {2}
    start, moved = positions(chair), positions(result)
    reach = 0.05 * np.ptp(start, axis=0).max() + 1.5 / 12  # the strength's bound, and a cell of this coarse grid
    assert (moved.min(0) > start.min(0) - reach).all()
    assert (moved.max(0) < start.max(0) + reach).all()
    assert len(moved) != len(start)
    # the texture is a picture, brownish already: red above blue
    (material,) = result.data.materials
    image = material.node_tree.nodes.active.image
    assert tuple(image.size) == (256, 256)
    mean = np.array(image.pixels).reshape(-1, 4).mean(0)
    assert mean[0] > mean[2]
    changed = {name for name, what in scenes.differences(before, scenes.state()).items() if what != "added"}
    assert changed & {"objects/Bystander", "meshes/Bystander", "meshes/Chair", "worlds/World"} == set()


def test_the_stored_recipe_replays_without_blender(addon: Addon, served: Path, tmp_path: Path) -> None:
    chair = coarse_chair()
    small(3)
    assert bpy.ops.maquette.refine() == {"FINISHED"}
    recipe = tmp_path / "recipe.json"
    recipe.write_text(chair.maquette.result["maquette_recipe"])
    python = bpy.context.preferences.addons["bl_ext.user_default.maquette"].preferences.backend_python
    command = [python, "-m", "maquette_backend", "refine", str(recipe), "--blobs", str(served / "blobs")]
    done = subprocess.run([*command, "--out", str(tmp_path / "out")], capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stderr
    (glb,) = (tmp_path / "out").glob("*.glb")
    bpy.ops.import_scene.gltf(filepath=str(glb))
    (found,) = [thing for thing in bpy.context.selected_objects if thing.type == "MESH"]
    expected = chair.maquette.result.data
    assert len(found.data.polygons) == len(expected.polygons)


def test_a_dragon_is_refined_and_the_result_says_that_the_prior_does_not_know_it(addon: Addon, served: Path) -> None:
    chair = coarse_chair()
    bpy.context.scene.maquette.targets[0].prompt = "a red dragon"
    small(2)
    job = begin(addon)
    runtime = addon("pump").runtime()
    pump_until(addon, lambda: job.said != () or runtime.job is None, 90)
    assert runtime.job is job, "it is said while the job runs"
    assert job.said[0].startswith("The starter prior doesn't know “a red dragon” well; nearest: ")
    pump_until(addon, lambda: runtime.job is None, JOB_SECS)
    assert chair.maquette.result["maquette_prompt_reading"].startswith(job.said[0])


def test_a_job_survives_the_death_of_its_backend(addon: Addon, own_backend: Path) -> None:
    coarse_chair()
    small(40)
    job = begin(addon)
    runtime = addon("pump").runtime()
    pump_until(addon, lambda: job.progress is not None and job.progress.stage == "geometry", 90)
    process = runtime.backend
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    pump_until(addon, lambda: runtime.welcome is None, 30)
    assert bpy.ops.maquette.start_backend() == {"FINISHED"}
    pump_until(addon, lambda: runtime.job is None, JOB_SECS)
    assert bpy.data.objects["Chair"].maquette.result is not None
    assert json.loads(bpy.data.objects["Chair"].maquette.result["maquette_recipe"])["prior"] == "starter"
