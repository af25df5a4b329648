"""``refine``: run a saved recipe in this process, without Blender and without a network, and write glTF files."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import trimesh
from maquette_protocol.arrays import Array, array_from
from maquette_protocol.checks import check_recipe
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import PromptReading
from maquette_protocol.readings import sentences
from maquette_protocol.recipe import ArrayRef, Recipe
from maquette_protocol.recipe_text import recipe_from_json
from PIL import Image
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from ..priors.catalogue import control_names, prior_names
from ..priors.cores import share_cores
from ..refine.events import PreviewFrame, Progress, RefinedSubject, Wish
from ..refine.job import refine_job
from ..workers.checkpoint import FileCheckpoints
from ..workers.process import PriorLoader


class DiskEvents:
    """A ``JobEvents`` that writes each finished subject into a folder and progress onto the terminal."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self._names = {subject.subject_id: subject.name for subject in recipe.subjects}
        self._folder = folder
        self._recipe = recipe
        self.written: list[Path] = []

    def prompts_read(self, readings: tuple[PromptReading, ...]) -> None:
        for line in sentences(readings, self._recipe):
            sys.stderr.write(f"\r{line}\n")

    def notice(self, sentence: str) -> None:
        sys.stderr.write(f"\r{sentence}\n")

    def progress(self, progress: Progress) -> None:
        line = f"{progress.step}/{progress.steps} {progress.stage} {self._names.get(progress.subject_id, '')}"
        sys.stderr.write(f"\r{line}  loss {progress.loss:.4g}  {progress.eta_secs:.0f} s left   ")
        sys.stderr.flush()

    def preview_wanted(self) -> bool:
        return False

    def preview(self, frame: PreviewFrame) -> None:
        """Nobody looks on."""

    def wish(self) -> Wish:
        return "go_on"

    def finished(self, subject: RefinedSubject) -> None:
        # The id keeps two subjects of one name apart.
        name = f"{safe_name(self._names[subject.subject_id])}-{subject.subject_id[:6]}"
        self.written.append(write_glb(subject, self._folder / f"{name}.glb"))
        for ending, image in (
            ("", subject.base_color), ("-roughness", subject.roughness),
            ("-metallic", subject.metallic), ("-normal", subject.normal),
        ):  # fmt: skip
            if image is not None:
                picture = self._folder / f"{name}{ending}.png"
                Image.fromarray(image[::-1]).save(picture)
                self.written.append(picture)


def refine_recipe(
    recipe_path: Path, blobs: Path, out: Path, models: Path, change: Callable[[Recipe], Recipe] = lambda saved: saved
) -> int:
    """Refine every subject of a recipe; a run that was interrupted goes on where it was.

    ``models``: the folder of the home where registered models are listed. ``change``: makes the recipe that is run of
    the saved one.

    Raises:
        MaquetteError: the recipe or a blob is not usable.
    """
    recipe = change(recipe_from_json(recipe_path.read_text()))
    check_recipe(recipe, prior_names(models), control_names(models))
    out.mkdir(parents=True, exist_ok=True)
    events = DiskEvents(recipe, out)
    checkpoints = FileCheckpoints(out / ".checkpoint")
    share_cores()
    refine_job(recipe, partial(read_blob, blobs), events, checkpoints, PriorLoader(models))
    checkpoints.clear()
    sys.stderr.write("\n")
    for path in events.written:
        sys.stdout.write(f"{path}\n")
    return 0


def read_blob(folder: Path, ref: ArrayRef) -> Array:
    """An ``ArrayReader`` over a folder of files named by their hash: flat, or in folders as a backend keeps them.

    Raises:
        MaquetteError: BLOB_MISSING, BLOB_CORRUPT.
    """
    for path in (folder / ref.sha256, folder / ref.sha256[:2] / ref.sha256):
        if path.is_file():
            return array_from(ref, path.read_bytes())
    raise MaquetteError(
        ErrorCode.BLOB_MISSING,
        f"There is no blob {ref.sha256} in {folder}.",
        "Give --blobs the folder `blobs` in the home of the backend that ran the job.",
    )


def write_glb(subject: RefinedSubject, path: Path) -> Path:
    """Write a subject as binary glTF, Y up as glTF wants it, with its texture when it has one."""
    y_up = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], np.float32)
    positions = subject.positions @ y_up.T
    if subject.corner_uvs is None:
        mesh = trimesh.Trimesh(positions, subject.triangles, process=False)
    else:
        mesh = _textured(subject, positions)
    mesh.export(path)
    return path


def _textured(subject: RefinedSubject, positions: np.ndarray) -> trimesh.Trimesh:
    """glTF has one UV per vertex: vertices are split where a corner's UV differs."""
    assert subject.corner_uvs is not None
    corners = np.concatenate(
        [subject.triangles.reshape(-1, 1).astype(np.float64), subject.corner_uvs.reshape(-1, 2)], axis=1
    )
    unique, corner_of = np.unique(corners, axis=0, return_inverse=True)
    visual = TextureVisuals(uv=unique[:, 1:], material=_material(subject))
    triangles = corner_of.reshape(-1, 3)
    return trimesh.Trimesh(positions[unique[:, 0].astype(int)], triangles, visual=visual, process=False)


def _material(subject: RefinedSubject) -> PBRMaterial:
    """Roughness in green and metallic in blue of one picture (glTF 2.0, section 3.9.2); both are multiplied by a factor."""
    image = None if subject.base_color is None else Image.fromarray(subject.base_color[::-1])
    if subject.roughness is None or subject.metallic is None:
        return PBRMaterial(baseColorTexture=image, metallicFactor=0.0, roughnessFactor=0.8)
    both = np.stack([np.zeros_like(subject.roughness), subject.roughness, subject.metallic], -1)
    normal = None if subject.normal is None else Image.fromarray(subject.normal[::-1])
    return PBRMaterial(
        baseColorTexture=image,
        metallicRoughnessTexture=Image.fromarray(both[::-1]),
        normalTexture=normal,
        metallicFactor=1.0,
        roughnessFactor=1.0,
    )


def safe_name(name: str) -> str:
    """An object's name as part of a file name."""
    return re.sub(r"[^\w\-]+", "_", name).strip("_") or "subject"
