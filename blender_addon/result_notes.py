"""What the artist should know of how a result's images came about, in sentences."""

from __future__ import annotations

from .refined import Refined

SEEN = "maquette_seen"
"""Custom property of a result: the share of its surface that some view saw."""
FEW = 0.9
"""Below this share of the surface it is said what to do."""
_UPSCALED = {
    "real_esrgan": "Upscaled by Real-ESRGAN, which adds likely detail.",
    "lanczos": "Upscaled by Lanczos, without new detail: the backend has no Real-ESRGAN.",
}


def seen_line(share: float) -> str:
    """For the panel of results."""
    return f"Views saw {int(100 * share)} % of the surface"  # rounded down: all is said only of all


def of_images(refined: Refined) -> str:
    """Empty where there is nothing to say, or there are no images."""
    if refined.surface.maps is None:
        return ""
    said = [_UPSCALED.get(refined.upscaled_by, "")]
    if refined.seen < FEW:
        said.append(
            f"{seen_line(refined.seen)}; the rest is filled in from around it. Press Check Views to see where, "
            "and Add Cameras, then refine again."
        )
    return " ".join(filter(None, said))
