"""Upscaling at the end of a job: every map grows as asked, nothing else changes, and it is said by what."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from job_in_memory import Shelf, Store
from maquette_backend.appearance.upscale import lanczos, upscale_data
from maquette_backend.refine import upscaled as module
from maquette_backend.refine.images import Maps
from maquette_backend.refine.stage_loop import Cancelled
from maquette_backend.refine.upscaled import upscaled
from maquette_protocol.errors import MaquetteError
from maquette_protocol.recipe import Subject
from paint_shapes import SIZE, painted, textured


@pytest.fixture
def subject(monkeypatch: pytest.MonkeyPatch) -> Subject:
    """A subject of a backend without Real-ESRGAN, whatever is installed here."""
    monkeypatch.setattr(module, "real_esrgan", lambda threads: None)
    return textured(Shelf(), upscale=2)


def test_a_whole_job_returns_the_same_maps_larger(subject: Subject) -> None:
    shelf, store = Shelf(), Store()
    (plain,) = painted(shelf, textured(shelf, material="pbr")).results
    (larger,) = painted(shelf, textured(shelf, material="pbr", upscale=2), store=store).results
    assert (plain.upscaled_by, larger.upscaled_by) == ("", "lanczos")
    for name in ("base_color", "roughness", "metallic", "normal"):
        small, large = getattr(plain, name), getattr(larger, name)
        assert small is not None
        assert large.shape[:2] == (2 * SIZE, 2 * SIZE)
        expected = upscale_data(small, 2, normals=True) if name == "normal" else lanczos(small, 2)
        np.testing.assert_array_equal(large, expected)
    np.testing.assert_array_equal(plain.corner_uvs, larger.corner_uvs)
    assert plain.seen == larger.seen
    # found again after a restart
    (again,) = painted(shelf, textured(shelf, material="pbr", upscale=2), store=store).results
    assert again.upscaled_by == "lanczos"
    np.testing.assert_array_equal(again.base_color, larger.base_color)


def test_what_did_it_is_logged(subject: Subject, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    maps = Maps(np.full((16, 16, 3), (200, 30, 60), np.uint8))
    with caplog.at_level(logging.INFO):
        assert upscaled(maps, subject, lambda: "go_on")[1] == "lanczos"
        monkeypatch.setattr(module, "real_esrgan", lambda threads: lambda pixels: pixels.repeat(4, 1).repeat(4, 2))
        found, by = upscaled(maps, replace(subject, upscale=4), lambda: "stop_and_keep")
    assert by == "real_esrgan"
    assert found.base_color.shape == (64, 64, 3)
    assert (found.base_color == (200, 30, 60)).all()
    with pytest.raises(Cancelled):
        upscaled(maps, subject, lambda: "cancel")
    said = [record.getMessage() for record in caplog.records]
    assert "“Box” is upscaled 2 times by Lanczos" in said[0]
    assert "Real-ESRGAN is not installed" in said[0]
    assert "“Box” is upscaled 4 times by Real-ESRGAN" in said[1]


def test_too_large_a_result_is_refused_before_anything_is_allocated(subject: Subject) -> None:
    large = np.broadcast_to(np.uint8(0), (4096, 4096, 3))
    with pytest.raises(MaquetteError, match="4096 pixels upscaled 4 times, is above 8192") as caught:
        upscaled(Maps(large), replace(subject, upscale=4), lambda: "go_on")
    assert caught.value.remedy
    maps = Maps(large[:8, :8])
    assert upscaled(maps, replace(subject, upscale=1), lambda: "go_on") == (maps, "")
