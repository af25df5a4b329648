"""Normal maps in space: there and back, and steps across a seam whose two sides have different frames."""

import numpy as np
import pytest
from maquette_backend.appearance.leans import Leans
from maquette_backend.appearance.seams import seam_report, shared_edges
from maquette_backend.appearance.uv_raster import surface_under_texels

SQUARES = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
FOLDED = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]], np.float64)
CORNER = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
SIZE = 128


def islands(turns: int = 1, mirrored: bool = False) -> np.ndarray:
    """[4,3,2]: the second square's island turned by quarters, or mirrored."""
    first, second = 0.05 + 0.35 * CORNER, 0.55 + 0.35 * np.roll(CORNER, turns, axis=0)
    if mirrored:
        second = second[:, ::-1]
    return np.stack([first[[0, 1, 2]], first[[0, 2, 3]], second[[0, 1, 2]], second[[0, 2, 3]]])


@pytest.mark.parametrize("mirrored", [False, True])
def test_there_and_back(mirrored: bool) -> None:
    frames = Leans(FOLDED, SQUARES, islands(mirrored=mirrored))
    random = np.random.default_rng(0)
    wanted = random.normal(size=(500, 3)) * [0.4, 0.4, 0] + [0, 0, 1]
    stored = np.round(127.5 + 127.5 * wanted / np.linalg.norm(wanted, axis=1, keepdims=True)).astype(np.uint8)
    triangles, weights = random.integers(0, 4, 500), random.dirichlet([1, 1, 1], 500)
    leans = frames.of(stored, triangles, weights)
    assert np.abs(leans).max() > 0.3
    assert np.abs(frames.stored(leans, triangles, weights).astype(int) - stored).max() <= 1


def test_a_flat_map_leans_nowhere() -> None:
    frames = Leans(FOLDED, SQUARES, islands())
    flat = np.tile([127.5, 127.5, 255.0], (4, 1))
    np.testing.assert_allclose(frames.of(flat, np.arange(4), np.full((4, 3), 1 / 3)), 0, atol=1e-6)


@pytest.mark.parametrize(("turns", "mirrored"), [(0, False), (1, False), (2, False), (1, True)])
def test_what_goes_on_in_space_has_no_step_there_however_its_islands_lie(turns: int, mirrored: bool) -> None:
    """It leans along the seam, so that it means the same on both sides of the fold."""
    uvs = islands(turns, mirrored)
    frames, edges = Leans(FOLDED, SQUARES, uvs), shared_edges(FOLDED, SQUARES, uvs)
    owner, weights = surface_under_texels(uvs, SIZE)
    covered = owner >= 0
    at = (FOLDED[SQUARES[owner[covered]]] * weights[covered][..., None]).sum(1)
    leans = np.zeros((len(at), 3))
    leans[:, 1] = 0.4 * np.sin(20 * (at[:, 0] - at[:, 2]))

    def stored(leans: np.ndarray) -> np.ndarray:
        image = np.full((SIZE, SIZE, 3), [128, 128, 255], np.uint8)
        image[covered] = frames.stored(leans, owner[covered], weights[covered])
        return image

    assert seam_report(stored(leans), edges, leans=frames).ratio < 0.1, "at the seam the wave is at its highest"
    if turns == 1 and not mirrored:
        assert seam_report(stored(leans), edges).ratio > 1.3, "as colours"
    leans[owner[covered] >= 2] *= -1
    assert seam_report(stored(leans), edges, leans=frames).ratio > 1.3, "turned over on one side"
