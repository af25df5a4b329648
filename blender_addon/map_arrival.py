"""Maps that have come → images, while Blender goes on: a thread encodes them, and each tick of the pump takes one in."""

# bpy's stubs know data by their base class only
# pyright: reportArgumentType=false

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import bpy

from . import map_images, polygon_atlas, surface_maps, udim
from ._protocol import errors
from .refined import Refined
from .surface_maps import SurfaceMaps


@dataclass(frozen=True)
class Order:
    """What becomes of one subject's maps."""

    name: str
    """Of the object that will wear them."""
    tiles: tuple[int, ...]
    """The UDIM tiles that its square holds."""
    cut: polygon_atlas.Polygons | None = None
    """The object's polygons, where the result's UVs cut through some."""


class Arrival:
    """One job's results on their way into the file."""

    def __init__(
        self, job_id: str, subjects: tuple[Refined, ...], orders: Mapping[str, Order], folder: Path | None
    ) -> None:
        """``orders`` by subject. ``folder``: where the images' files go; none: into the .blend."""
        self.job_id = job_id
        self._subjects = {one.subject_id: _on_tiles(one, orders.get(one.subject_id)) for one in subjects}
        self._images: dict[str, dict[str, str]] = {}
        self._encoded: queue.SimpleQueue[tuple[str, map_images.Encoded] | Exception | None] = queue.SimpleQueue()
        self._folder, self._scratch = folder, Path(tempfile.mkdtemp(prefix="maquette-maps-"))
        self._is_wanted = True
        names = {one.subject_id: _names(one, orders.get(one.subject_id)) for one in subjects}
        cut = {subject_id: order.cut for subject_id, order in orders.items() if order.cut is not None}
        self._thread = threading.Thread(target=self._encode, args=(names, cut), name="maquette-maps", daemon=True)
        self._thread.start()

    def step(self) -> tuple[Refined, ...] | None:
        """Take in one map, if one is ready; all results once every map is there. Never waits.

        Raises:
            MaquetteError: the maps cannot be written, or not be read again.
        """
        try:
            found = self._encoded.get_nowait()
        except queue.Empty:
            return None
        if found is None:
            self._clean()
            return tuple(self._ready(one) for one in self._subjects.values())
        if isinstance(found, Exception):
            raise self._failed(found) from found
        subject_id, encoded = found
        try:
            image = map_images.make(encoded)
        except OSError as error:
            raise self._failed(error) from error
        image.use_fake_user = True  # until a material has it
        self._images.setdefault(subject_id, {})[encoded.kind] = image.name
        return None

    def drop(self) -> None:
        """The job was cancelled: what has been made of it goes again."""
        self._is_wanted = False
        self.release()

    def release(self) -> None:
        """Of the images made, those stay that a material has."""
        for names in self._images.values():
            for image in filter(None, map(bpy.data.images.get, names.values())):
                image.use_fake_user = False
                if image.users == 0:
                    bpy.data.images.remove(image)
        self._images.clear()

    # ---- the thread -------------------------------------------------------------------------------
    def _encode(self, names: dict[str, dict[str, str]], cut: dict[str, polygon_atlas.Polygons]) -> None:
        try:
            for subject_id, of_kinds in names.items():
                if subject_id in cut:
                    self._subjects[subject_id] = _on_polygons(self._subjects[subject_id], cut[subject_id])
                maps = self._subjects[subject_id].surface.maps
                for kind, name in of_kinds.items():
                    if not self._is_wanted or maps is None:
                        self._clean()
                        return
                    pixels = maps.images[kind]
                    done = map_images.encode(name, kind, pixels, maps.tiles, self._folder, self._scratch)
                    self._encoded.put((subject_id, done))
        except (OSError, ValueError) as error:  # a full or write-protected disk; told where it can be shown
            self._encoded.put(error)
            return
        self._encoded.put(None)

    def _clean(self) -> None:
        shutil.rmtree(self._scratch, ignore_errors=True)

    # ---- the main thread --------------------------------------------------------------------------
    def _ready(self, subject: Refined) -> Refined:
        maps = subject.surface.maps
        if maps is None:
            return subject
        maps = replace(maps, ready=self._images.get(subject.subject_id, {}))
        return replace(subject, surface=replace(subject.surface, maps=maps))

    def _failed(self, error: Exception) -> errors.MaquetteError:
        self.drop()
        self._clean()
        return errors.MaquetteError(
            errors.ErrorCode.INTERNAL,
            f"The result's images cannot be written: {error}",
            "Make room on the disk or set Images to Packed, then press Reconnect to receive them again.",
        )


def _on_tiles(subject: Refined, order: Order | None) -> Refined:
    """With its UVs on the artist's UDIM tiles again."""
    maps = subject.surface.maps
    if order is None or len(order.tiles) < 2 or maps is None or not subject.same_topology:
        return subject
    uvs = subject.surface.corner_uvs
    surface = replace(
        subject.surface,
        maps=replace(maps, tiles=order.tiles),
        corner_uvs=None if uvs is None else udim.unpacked(uvs, order.tiles),
    )
    return replace(subject, surface=surface)


def _on_polygons(subject: Refined, polygons: polygon_atlas.Polygons) -> Refined:
    return replace(subject, surface=polygon_atlas.on_polygons(subject.surface, polygons))


def _names(subject: Refined, order: Order | None) -> dict[str, str]:
    """Each map's image, by kind."""
    maps = subject.surface.maps
    if maps is None or order is None:
        return {}
    return {kind: image_name(order.name, kind) for kind in surface_maps.LABELS if kind in maps.images}


def image_name(name: str, kind: str) -> str:
    """Within Blender's 63 bytes, the kind in full."""
    label = f" {surface_maps.LABELS[kind]}"
    return name.encode()[: 63 - len(label)].decode(errors="ignore") + label


def images_of(name: str, maps: SurfaceMaps) -> dict[str, bpy.types.Image]:
    """The images of a surface's maps by kind: those that are ready, or made now where undo took them or none were."""
    found: dict[str, bpy.types.Image] = {}
    for kind in (kind for kind in surface_maps.LABELS if kind in maps.images):
        image = bpy.data.images.get(maps.ready.get(kind, ""))
        if image is None:
            with tempfile.TemporaryDirectory(prefix="maquette-maps-") as scratch:
                label = image_name(name, kind)
                image = map_images.make(
                    map_images.encode(label, kind, maps.images[kind], maps.tiles, None, Path(scratch))
                )
        image.use_fake_user = False
        found[kind] = image
    return found
