"""Both sides of a seam meet halfway, and nothing else of what was learned changes."""

import numpy as np
import pytest
from maquette_backend.appearance.seam_evening import evened
from maquette_backend.appearance.seams import bilinear
from maquette_backend.appearance.uv_raster import owners_under_texels

SQUARES = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
FOLDED = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]], np.float64)
SIZE = 128
CORNER = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)


def islands() -> np.ndarray:
    """[4,3,2]: the first square in the lower left; the second, turned by 90°, in the upper right."""
    first, second = 0.05 + 0.35 * CORNER, 0.55 + 0.35 * np.roll(CORNER, 1, axis=0)
    return np.stack([first[[0, 1, 2]], first[[0, 2, 3]], second[[0, 1, 2]], second[[0, 2, 3]]])


def along_the_seam(image: np.ndarray, uvs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[N,C] on both sides of the edge 1–2, half a texel away."""
    share = np.linspace(0.1, 0.9, 50)[:, None]
    sides = []
    for tail, head, middle in ((uvs[0, 1], uvs[0, 2], uvs[0].mean(0)), (uvs[3, 0], uvs[3, 2], uvs[3].mean(0))):
        across = np.array([-(head - tail)[1], (head - tail)[0]]) / np.linalg.norm(head - tail) * 0.5 / SIZE
        inwards = across * np.sign(across @ (middle - tail))
        sides.append(bilinear(image, tail * (1 - share) + head * share + inwards))
    return sides[0], sides[1]


def two_plains(low: float, high: float) -> np.ndarray:
    """[SIZE,SIZE,8]: one value on the first island, another on the second, 0 where no look-up on them reads."""
    owner = owners_under_texels(islands(), SIZE)
    return np.repeat(np.select([owner >= 2, owner >= 0], [high, low], 0.0)[..., None], 8, -1)


def test_both_sides_meet_halfway() -> None:
    found = evened(two_plains(0.1, 0.3), FOLDED, SQUARES, islands())
    one, other = along_the_seam(found[..., :5], islands())
    np.testing.assert_allclose(one, 0.2, atol=0.012)
    np.testing.assert_allclose(other, 0.2, atol=0.012)


@pytest.mark.parametrize("kept", [0, 1])
def test_a_side_that_stays_is_met_all_the_way(kept: int) -> None:
    owner, before = owners_under_texels(islands(), SIZE), two_plains(0.1, 0.3)
    mobile = owner >= 2 if kept == 0 else (owner < 2) & (owner >= 0)
    found = evened(before, FOLDED, SQUARES, islands(), mobile)
    assert (found[..., :5][~mobile] == before[..., :5][~mobile].astype(np.float32)).all()
    for side in along_the_seam(found[..., :5], islands()):
        np.testing.assert_allclose(side, (0.1, 0.3)[kept], atol=0.024)


def test_it_fades_out_into_the_islands() -> None:
    found = evened(two_plains(0.1, 0.3), FOLDED, SQUARES, islands())
    row = int(0.2 * SIZE)  # the first island's, from its left border to the seam
    profile = found[row, int(0.06 * SIZE) : int(0.4 * SIZE), 0]
    assert (np.diff(profile) >= -1e-6).all()
    assert profile[0] == pytest.approx(0.1, abs=2e-3)
    assert profile[-8] == pytest.approx(0.1 + 0.1 * np.exp(-7 / 4), abs=0.01)


def test_vectors_in_the_frame_of_the_uvs_fade_towards_the_seam() -> None:
    found = evened(two_plains(0.1, 0.3), FOLDED, SQUARES, islands())[..., 5:]
    one, other = along_the_seam(found, islands())
    assert float(np.abs(one).max()) < 0.04
    assert float(np.abs(other).max()) < 0.1
    middle = found[int(0.2 * SIZE), int(0.15 * SIZE)]
    np.testing.assert_allclose(middle, 0.1, atol=2e-3)


def test_what_agrees_already_and_what_has_no_seam_stays() -> None:
    steady = np.full((SIZE, SIZE, 5), 0.25)
    np.testing.assert_allclose(evened(steady, FOLDED, SQUARES, islands()), steady, atol=1e-7)
    random = np.random.default_rng(0).normal(size=(SIZE, SIZE, 8)).astype(np.float32)
    flat = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]], np.float64)
    assert (evened(random, flat, SQUARES, flat[SQUARES][..., :2] * 0.4 + 0.05) == random).all()


def test_texels_of_no_island_stay() -> None:
    random = np.random.default_rng(0).normal(size=(SIZE, SIZE, 8)).astype(np.float32)
    found = evened(random, FOLDED, SQUARES, islands())
    corner = slice(int(0.7 * SIZE), None), slice(0, int(0.3 * SIZE))
    assert (found[corner] == random[corner]).all()
