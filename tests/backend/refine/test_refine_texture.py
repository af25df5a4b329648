"""Texture only: what is kept stays to the last bit, what changes does so inside of its bounds, what is unseen is filled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from job_in_memory import Shelf, Store, equal, run
from maquette_backend.appearance.uv_raster import surface_under_texels
from maquette_backend.refine.finish import Mesh
from maquette_backend.refine.given import FEATHER, read_given, shares
from maquette_backend.refine.texel_map import texel_map
from maquette_backend.refine.unseen import filled
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.recipe import Camera, CameraRig, Recipe
from numpy.typing import NDArray
from paint_shapes import FEW, POSITIONS, SIZE, TRIANGLES, UVS, noise_texture, painted, red_prior, textured
from refine_shapes import box_uvs, boxes

OWNER, _ = surface_under_texels(UVS, SIZE)
COVERED = OWNER >= 0


ENOUGH = replace(FEW, appearance_steps=24)


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf()


def base_color(shelf: Shelf, **changes: object) -> NDArray[np.uint8]:
    (result,) = painted(shelf, textured(shelf, **changes), stages=ENOUGH).results  # type: ignore[arg-type]
    assert result.base_color is not None
    assert result.corner_uvs is not None
    assert np.array_equal(result.corner_uvs, UVS)
    return result.base_color


def redness(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return image[..., 0].astype(float) - image[..., 1:].mean(-1)


def test_without_masks_the_given_texture_changes_and_only_under_the_mesh(shelf: Shelf) -> None:
    result, given = base_color(shelf), noise_texture()
    far = np.ones((SIZE, SIZE), bool)
    rows, columns = np.nonzero(COVERED)
    for shift in np.ndindex(7, 7):
        far[np.clip(rows + shift[0] - 3, 0, SIZE - 1), np.clip(columns + shift[1] - 3, 0, SIZE - 1)] = False
    assert np.array_equal(result[far], given[far]), "other objects' islands may lie there"
    assert redness(result)[COVERED].mean() > redness(given)[COVERED].mean() + 15
    correlation = np.corrcoef(result[COVERED].reshape(-1), given[COVERED].reshape(-1))[0, 1]
    assert correlation > 0.7, "it begins from the given texture"


def test_texels_masked_by_an_image_keep_their_bits(shelf: Shelf) -> None:
    mask = np.full((SIZE, SIZE), 255, np.uint8)
    mask[:, : SIZE // 2] = 0
    result, given = base_color(shelf, texel_mask=shelf.put(mask)), noise_texture()
    assert np.array_equal(result[mask == 0], given[mask == 0])
    assert redness(result)[(mask > 0) & COVERED].mean() > redness(given)[(mask > 0) & COVERED].mean() + 8


def test_triangles_that_are_not_painted_keep_their_bits(shelf: Shelf) -> None:
    chosen = (np.arange(len(TRIANGLES)) % 8 < 4).astype(np.uint8)
    result, given = base_color(shelf, painted_triangles=shelf.put(chosen)), noise_texture()
    kept = COVERED & (chosen[OWNER] == 0)
    assert np.array_equal(result[kept], given[kept])
    changed = COVERED & (chosen[OWNER] == 1)
    assert (result[changed] != given[changed]).any(-1).mean() > 0.5


def test_a_vertex_mask_masks_the_texture_and_feathers(shelf: Shelf) -> None:
    weight = np.clip(POSITIONS[:, 2] + 0.5, 0, 1).astype(np.float32)  # 0 at the floor, 1 on top
    result, given = base_color(shelf, mask=shelf.put(weight)), noise_texture()
    bottom = COVERED & (POSITIONS[TRIANGLES[OWNER], 2].max(-1) == -0.5)
    assert np.array_equal(result[bottom], given[bottom])
    height = np.where(COVERED, POSITIONS[TRIANGLES[OWNER], 2].mean(-1), np.nan)
    change = redness(result) - redness(given)
    assert np.nanmean(change[height > 0.2]) > np.nanmean(change[(height > -0.4) & (height < 0)]) + 5


def test_changes_fade_in_from_the_border_over_the_surface(shelf: Shelf) -> None:
    """Also across a seam: every triangle has an island of its own here."""
    top = POSITIONS[TRIANGLES][:, :, 2].min(1) == 0.5
    subject = textured(shelf, painted_triangles=shelf.put(top.astype(np.uint8)))
    given = read_given(subject, shelf, np.ones(len(POSITIONS), np.float32))
    texels = texel_map(Mesh(POSITIONS, TRIANGLES, UVS), 512)
    share = shares(given, texels, TRIANGLES)
    assert (share[~top[texels.triangles]] == 0).all()
    inside = top[texels.triangles]
    edge = 0.5 - np.abs(texels.points[inside, :2]).max(1)
    texel = 0.01
    assert (share[inside][edge > FEATHER + texel] == 1).all()
    assert share[inside][edge < 0.3 * FEATHER].max() < 0.7
    assert (np.diff(share[inside][np.argsort(edge)]) > -0.6).all()


def test_keep_look_bounds_how_far_a_colour_goes(shelf: Shelf) -> None:
    given = noise_texture()
    assert np.array_equal(base_color(shelf, keep_look=1.0), given)
    kept = np.abs(base_color(shelf, keep_look=0.9).astype(int) - given)[COVERED]
    free = np.abs(base_color(shelf).astype(int) - given)[COVERED]
    assert kept.max() <= 0.1 * 255 + 1
    assert free.max() > 40
    assert 0 < kept.mean() < free.mean()


def test_maps_of_another_size_are_resampled(shelf: Shelf) -> None:
    result = base_color(shelf, base=noise_texture(32), keep_look=1.0)
    assert result.shape == (SIZE, SIZE, 3)
    assert np.abs(result[1::2, 1::2].astype(int) - noise_texture(32)).mean() < 60


def test_uvs_with_maps_on_them_stay_even_where_they_overlap(shelf: Shelf) -> None:
    """Halves that share their texels are common where textures are made by hand."""
    stacked = UVS.copy()
    stacked[len(UVS) // 2 :] = UVS[: len(UVS) // 2]
    subject = textured(shelf)
    subject = replace(subject, mesh=replace(subject.mesh, corner_uvs=shelf.put(stacked)))
    (result,) = painted(shelf, subject).results
    assert result.corner_uvs is not None
    assert np.array_equal(result.corner_uvs, stacked)


@pytest.mark.parametrize(
    "changes",
    [
        {"texel_mask": np.zeros((SIZE, SIZE), np.uint8)},
        {"painted_triangles": np.zeros(len(TRIANGLES), np.uint8)},
        {"mask": np.zeros(len(POSITIONS), np.float32)},
    ],
    ids=["texels", "triangles", "vertices"],
)
def test_a_mask_that_lets_nothing_change_is_named(changes: dict[str, NDArray[np.generic]], shelf: Shelf) -> None:
    subject = replace(textured(shelf), **{name: shelf.put(array) for name, array in changes.items()})  # type: ignore[arg-type]
    with pytest.raises(MaquetteError, match="“Box” is 0 everywhere") as caught:
        painted(shelf, subject)
    assert caught.value.code == ErrorCode.INVALID_RECIPE
    assert caught.value.remedy


def test_interrupted_and_resumed_on_given_maps_equals_uninterrupted(shelf: Shelf) -> None:
    mask = np.tile(np.arange(SIZE) * 4, (SIZE, 1)).astype(np.uint8)
    subject = textured(shelf, texel_mask=shelf.put(mask), seed=3)
    recipe = Recipe((subject,), stages=FEW)
    whole = run(recipe, shelf, priors=red_prior)
    store = Store()
    stopped = run(recipe, shelf, store, lambda asked: "cancel" if asked >= 3 else "go_on", red_prior)
    assert stopped.results == []
    again = run(recipe, shelf, store, priors=red_prior)
    assert equal(whole.results[0], again.results[0])
    assert again.asked < whole.asked


def test_a_seed_of_its_own_counts(shelf: Shelf) -> None:
    own = base_color(shelf, seed=3)
    (as_recipe,) = painted(shelf, textured(shelf), stages=ENOUGH, seed=3).results
    assert np.array_equal(own, as_recipe.base_color)  # type: ignore[arg-type]
    assert not np.array_equal(own, base_color(shelf))


FRONT = Camera("Front", (1, 0, 0, 0, 0, 0, -1, -3, 0, 1, 0, 0, 0, 0, 0, 1), fov_y=0.7)


def test_what_no_camera_sees_is_filled_and_counted(shelf: Shelf) -> None:
    """A box seen from the front alone: one of its six sides is seen, the other five continue it."""
    subject = shelf.subject(POSITIONS, TRIANGLES, UVS, mode="texture_only")
    rig = CameraRig((FRONT,), orbit=False, jitter=0.0)
    (result,) = painted(shelf, subject, rig=rig).results
    assert result.seen == pytest.approx(1 / 6, abs=0.03)
    image = result.base_color
    assert image is not None
    front = COVERED & (POSITIONS[TRIANGLES[OWNER], 1].max(-1) == -0.5)
    low, high = image[front].min(0), image[front].max(0)
    assert (image >= low.astype(int) - 1).all()
    assert (image <= high.astype(int) + 1).all()
    (round_about,) = painted(shelf, subject).results
    assert round_about.seen == pytest.approx(5 / 6, abs=0.04), "all but the underside"


def test_filling_is_a_smooth_continuation_within_what_is_known() -> None:
    """Between a dark and a bright end of a bar the middle is as a heat equation has it: a straight line."""
    positions, triangles = boxes((-0.5, -0.05, -0.05, 0.5, 0.05, 0.05))
    texels = texel_map(Mesh(positions, triangles, box_uvs(triangles)), 128)
    along = texels.points[:, 0]
    truth = np.clip(127 + 200 * along, 0, 255).astype(np.uint8)[:, None]
    known = np.abs(along) > 0.3
    values = np.where(known[:, None], truth, np.uint8(0))
    found = filled(values, texels, known)
    assert np.array_equal(found[known], truth[known])
    assert np.abs(found.astype(int) - truth)[~known].max() < 16
    assert found.min() >= truth[known].min()
    assert found.max() <= truth[known].max()


def test_parts_that_do_not_hang_together_do_not_fill_each_other() -> None:
    positions, triangles = boxes((-0.5, -0.1, -0.1, 0.0, 0.1, 0.1), (0.001, -0.1, -0.1, 0.5, 0.1, 0.1))
    texels = texel_map(Mesh(positions, triangles, box_uvs(triangles)), 64)
    left = texels.parts == texels.parts[np.argmin(texels.points[:, 0])]
    upper = texels.points[:, 2] > 0.05
    values = np.where(left[:, None], np.uint8(200), np.uint8(40))
    found = filled(np.where(upper[:, None], values, np.uint8(0)), texels, upper)
    assert np.abs(found[left].astype(int) - 200).max() <= 2
    assert np.abs(found[~left].astype(int) - 40).max() <= 2
