"""What the demo shows: the renders put together with their captions, and the strip of previews."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

CAPTION = 34
"""Height of a picture's caption, pixels."""
LABEL_WIDTH = 22
"""Characters of a label's line."""
LABEL_FONT, CAPTION_FONT, GAP = 14, 18, 6
"""Sizes of type, and what lies between a piece and its label, pixels."""
STRIP_COLUMNS = 3


@dataclass(frozen=True)
class Area:
    """A rectangle in a picture, pixels, y down."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Area) -> bool:
        """Whether the two have a point in common."""
        apart_x = self.right < other.left or other.right < self.left
        return not (apart_x or self.bottom < other.top or other.bottom < self.top)

    def inside(self, size: tuple[int, int]) -> bool:
        """Whether a picture of this width and height holds all of it."""
        return self.left >= 0 and self.top >= 0 and self.right <= size[0] and self.bottom <= size[1]


def captioned(picture: Image.Image, words: str) -> Image.Image:
    """A picture with a caption above it."""
    sheet = Image.new("RGB", (picture.width, picture.height + CAPTION), (24, 24, 24))
    sheet.paste(picture, (0, CAPTION))
    font = ImageFont.load_default(CAPTION_FONT)
    ImageDraw.Draw(sheet).text((10, CAPTION / 2), words, fill=(230, 230, 230), font=font, anchor="lm")
    return sheet


def tiled(pictures: Sequence[Image.Image], columns: int) -> Image.Image:
    """Pictures of one size in rows, from the left and from above."""
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width * columns, height * math.ceil(len(pictures) / columns)), (24, 24, 24))
    for index, picture in enumerate(pictures):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet


def before_after(before: Image.Image, after: Image.Image, prompt: str) -> Image.Image:
    """One target, side by side."""
    return tiled([captioned(before, "before"), captioned(after, f"after: {prompt}")], columns=2)


def room_before_after(
    before: Image.Image, after: Image.Image, prompts: Mapping[str, str], areas: Mapping[str, Area]
) -> Image.Image:
    """The room, after below before, with each piece's prompt beside it; ``areas`` in shares of the picture."""
    told = labelled(after, prompts, {name: _pixels(area, after.size) for name, area in areas.items()})
    pictures = [captioned(before, "before: coarse pieces"), captioned(told, "after: each piece refined to its prompt")]
    return tiled(pictures, columns=1)


def same_mesh(before: Image.Image, afters: Mapping[str, Image.Image]) -> Image.Image:
    """One coarse mesh and what became of it under each prompt, in a row."""
    pictures = [captioned(before, "the same coarse mesh")]
    pictures += [captioned(picture, prompt) for prompt, picture in afters.items()]
    return tiled(pictures, columns=len(pictures))


def labelled(picture: Image.Image, words: Mapping[str, str], areas: Mapping[str, Area]) -> Image.Image:
    """A copy with words by each area, pixels."""
    copy = picture.convert("RGBA")
    layer = Image.new("RGBA", copy.size)
    draw, font = ImageDraw.Draw(layer), ImageFont.load_default(LABEL_FONT)
    wrapped = {name: balanced(words[name], LABEL_WIDTH) for name in areas}
    sizes = {name: _size_of(draw, text, font) for name, text in wrapped.items()}
    for name, area in label_areas(areas, sizes, picture.size).items():
        draw.rounded_rectangle((area.left, area.top, area.right, area.bottom), 5, fill=(20, 20, 20, 190))
        middle = ((area.left + area.right) / 2, (area.top + area.bottom) / 2)
        draw.multiline_text(middle, wrapped[name], fill=(245, 245, 245), font=font, anchor="mm", align="center")
    return Image.alpha_composite(copy, layer).convert("RGB")


def balanced(text: str, width: int) -> str:
    """Text in as few lines of at most ``width`` characters as it needs, none much longer than the others."""
    lines = textwrap.wrap(text, width)
    narrower = [textwrap.wrap(text, less) for less in range(max(map(len, lines), default=1), 0, -1)]
    return "\n".join([tried for tried in narrower if len(tried) == len(lines)][-1] if lines else [])


def label_areas(
    areas: Mapping[str, Area], sizes: Mapping[str, tuple[float, float]], picture: tuple[int, int]
) -> dict[str, Area]:
    """Where each label goes, pixels: below its area, or above where another area or label lies below.

    ``sizes`` are the labels' widths and heights. A label that has room nowhere goes below.
    """
    placed: dict[str, Area] = {}
    for name, area in areas.items():
        taken = [other for key, other in areas.items() if key != name] + list(placed.values())
        places = _places(area, *sizes[name], picture)
        free = [place for place in places if place.inside(picture) and not any(map(place.meets, taken))]
        placed[name] = (free or places)[0]
    return placed


def _places(area: Area, width: float, height: float, picture: tuple[int, int]) -> list[Area]:
    """Below and above, as near to the middle as the picture's edges allow."""
    left = min(max((area.left + area.right - width) / 2, GAP), picture[0] - width - GAP)
    tops = (area.bottom + GAP, area.top - GAP - height)
    return [Area(left, top, left + width, top + height) for top in tops]


def _size_of(
    draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> tuple[float, float]:
    """Width and height of a label with its margin, pixels."""
    left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
    return right - left + 12, bottom - top + 10


def _pixels(area: Area, size: tuple[int, int]) -> Area:
    width, height = size
    return Area(area.left * width, area.top * height, area.right * width, area.bottom * height)


def save_strip(per_target: Sequence[Sequence[Path]], path: Path) -> None:
    """An animation of previews: all targets in one picture, each morphing at its own pace.

    Raises SystemExit if no preview came.
    """
    opened = [[Image.open(frame).convert("RGB") for frame in frames] for frames in per_target if frames]
    if not opened:
        raise SystemExit("No preview arrived, so there is no strip: see the backend's log.")
    count = max(map(len, opened))
    columns = min(STRIP_COLUMNS, len(opened))
    sheets = [tiled([frames[min(number, len(frames) - 1)] for frames in opened], columns) for number in range(count)]
    sheets[0].save(path, save_all=True, append_images=sheets[1:], duration=[160] * (count - 1) + [1500], loop=0)
