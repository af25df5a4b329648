"""The seam measure itself: 1 for whatever knows of no seam, and what a step of known size adds."""

import numpy as np
import pytest
from maquette_backend.appearance.seams import SharedEdges, mip_of, seam_report, shared_edges
from maquette_backend.appearance.uv_raster import surface_under_texels

SQUARES = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
"""Two squares side by side; the edge 1–2 is between them."""
FLAT = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [2, 0, 0], [2, 1, 0]], np.float64)
FOLDED = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 1], [1, 1, 1]], np.float64)
SIZE = 256


def two_islands(scale: float = 1.0, turn_deg: float = 0.0) -> np.ndarray:
    """[4,3,2]: the first square in the lower left, the second in the upper right, ``scale`` times as large and turned."""
    corner = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float64)
    angle = np.deg2rad(turn_deg)
    turned = (corner - 0.5) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    first, second = 0.05 + 0.3 * corner, 0.7 + 0.3 * scale * turned
    return np.stack([first[[0, 1, 2]], first[[0, 2, 3]], second[[0, 1, 2]], second[[0, 2, 3]]])


def painted(positions: np.ndarray, uvs: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """[SIZE,SIZE,1], not rounded: a linear ramp over space, on the surface, and 0 off the islands."""
    owner, bary = surface_under_texels(uvs, SIZE)
    points = (positions[SQUARES[owner]] * bary[..., None]).sum(2)
    return np.where(owner >= 0, 20 + points @ slope, 0)[..., None]


def report(positions: np.ndarray, uvs: np.ndarray, slope: tuple[float, float, float], mip: int = 0) -> float:
    texture = painted(positions, uvs, np.array(slope))
    return seam_report(texture, shared_edges(positions, SQUARES, uvs), mip, samples=31).ratio


def joined(positions: np.ndarray) -> SharedEdges:
    return shared_edges(positions, SQUARES, FLAT[SQUARES][..., :2] * 0.4 + 0.1)


def test_edges_and_the_seam_are_found() -> None:
    together, cut = joined(FLAT), shared_edges(FOLDED, SQUARES, two_islands(0.5))
    assert len(together.seam) == 3
    assert not together.seam.any()
    assert len(set(together.island.tolist())) == 1
    (seam,) = np.flatnonzero(cut.seam)
    assert sorted(cut.island.tolist()) == [0, 0, 1, 1]
    assert cut.length[seam] == pytest.approx(1)
    assert cut.turn_deg[seam] == pytest.approx(90)
    assert cut.turn_deg[~cut.seam] == pytest.approx([0, 0])
    np.testing.assert_allclose(cut.inwards[seam], [[-0.3, 0], [0.15, 0]], atol=1e-9)


@pytest.mark.parametrize(("scale", "turn_deg"), [(1.0, 0.0), (0.5, 0.0), (1.0, 90.0), (0.6, 33.0), (1.0, 180.0)])
@pytest.mark.parametrize("slope", [(100.0, 0.0, 0.0), (80.0, 60.0, 0.0)])
def test_a_linear_ramp_reads_one_however_its_islands_lie(
    scale: float, turn_deg: float, slope: tuple[float, float, float]
) -> None:
    """Steps over equal distances of a ramp are equal. Of turned islands a look-up beside the edge reads a little of what is beyond."""
    straight = turn_deg % 90 == 0
    assert report(FLAT, two_islands(scale, turn_deg), slope) == pytest.approx(1, abs=1e-3 if straight else 0.02)


@pytest.mark.parametrize("mip", [1, 2, 3])
def test_a_linear_ramp_reads_one_in_mips(mip: int) -> None:
    assert report(FLAT, two_islands(0.7), (100.0, 0.0, 0.0), mip) == pytest.approx(1, abs=0.06)


def test_a_ramp_over_a_hard_edge_reads_one_too() -> None:
    """Towards the edge the ramp grows by one slope, away from it by the other: over it by half of both."""
    assert report(FOLDED, two_islands(), (60.0, 0.0, 60.0)) == pytest.approx(1, abs=0.04)
    assert report(FOLDED, two_islands(), (30.0, 0.0, 120.0)) == pytest.approx(1, abs=0.04)


def test_a_step_over_the_seam_adds_its_height() -> None:
    uvs = two_islands()
    edges, smooth = shared_edges(FLAT, SQUARES, uvs), painted(FLAT, uvs, np.array([100.0, 0, 0]))
    fair = seam_report(smooth, edges)
    assert fair.across == pytest.approx(2 / (0.3 * SIZE) * 100, abs=0.3)
    assert fair.measured == 1
    broken = smooth.copy()
    broken[SIZE // 2 :] += 20
    assert seam_report(broken, edges).across == pytest.approx(fair.across + 20, abs=1e-6)
    assert seam_report(broken, edges).inside == pytest.approx(fair.inside)


def test_chosen_seams_alone_are_measured() -> None:
    uvs = two_islands()
    edges, texture = shared_edges(FOLDED, SQUARES, uvs), painted(FOLDED, uvs, np.array([60.0, 0, 60]))
    assert seam_report(texture, edges, chosen=edges.turn_deg > 45) == seam_report(texture, edges)
    with pytest.raises(ValueError, match="needs seams"):
        seam_report(texture, edges, chosen=edges.turn_deg < 45)


def test_without_seams_or_without_room_beside_them_there_is_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="needs seams"):
        seam_report(np.zeros((64, 64, 3), np.uint8), joined(FLAT))
    with pytest.raises(ValueError, match="room"):
        seam_report(np.zeros((SIZE, SIZE, 3), np.uint8), shared_edges(FLAT, SQUARES, two_islands()), mip=7)


def test_mips_are_means_of_four() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_allclose(mip_of(image, 1)[..., 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_allclose(mip_of(image, 9)[..., 0], [[7.5]])
