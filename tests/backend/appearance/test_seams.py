"""The seam measure itself: 1 for a seamless texture, and what a step of known size adds."""

import numpy as np
import pytest
from maquette_backend.appearance.seams import mip_of, seam_report, shared_edges

SQUARE = np.array([[0, 1, 2], [0, 2, 3], [1, 4, 5], [1, 5, 2]])
"""Two squares side by side; the edge 1–2 is between them."""


def corner_uvs(gap: float) -> np.ndarray:
    x = np.array([0.1, 0.4, 0.4, 0.1, 0.7, 0.7])
    y = np.array([0.2, 0.2, 0.5, 0.5, 0.2, 0.5])
    uvs = np.stack([x, y], -1)[SQUARE]
    uvs[2:, :, 0] += gap
    return uvs


def test_edges_and_the_seam_are_found() -> None:
    joined, cut = shared_edges(SQUARE, corner_uvs(0)), shared_edges(SQUARE, corner_uvs(0.2))
    assert len(joined.seam) == 3
    assert joined.seam.sum() == 0
    assert cut.seam.sum() == 1
    (seam,) = np.flatnonzero(cut.seam)
    np.testing.assert_allclose(np.abs(cut.inwards[seam]), [[1, 0], [1, 0]], atol=1e-9)
    np.testing.assert_allclose(cut.inwards[seam].sum(0), 0, atol=1e-9)


def test_a_step_over_the_seam_is_measured() -> None:
    gap, size = 0.2, 64
    x = (np.arange(size) + 0.5) / size
    ramp = np.where(x > 0.5, x - gap, x) * 255
    edges = shared_edges(SQUARE, corner_uvs(gap))
    smooth = np.tile(ramp[None, :, None], (size, 1, 3)).astype(np.uint8)
    fair = seam_report(smooth, edges)
    assert fair.across == pytest.approx(2 / 64 * 255, abs=1.1)
    broken = smooth.copy()
    broken[:, x > 0.5] += 20
    assert seam_report(broken, edges).across == pytest.approx(fair.across + 20, abs=1e-6)
    assert seam_report(broken, edges).inside == pytest.approx(fair.inside)


def test_without_seams_there_is_nothing_to_measure() -> None:
    with pytest.raises(ValueError, match="needs seams"):
        seam_report(np.zeros((4, 4, 3), np.uint8), shared_edges(SQUARE, corner_uvs(0)))


def test_mips_are_means_of_four() -> None:
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_allclose(mip_of(image, 1)[..., 0], [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_allclose(mip_of(image, 9)[..., 0], [[7.5]])
