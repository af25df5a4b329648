"""Sentences in a panel: Blender cuts a label that is too long, so they are wrapped to the sidebar's width."""

# bpy's stubs take Context's properties for methods and know data by their base class only
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportOptionalMemberAccess=false

from __future__ import annotations

import textwrap

import bpy

_FRAME_PIXELS = 95
"""Of the sidebar's width: tabs, margins, a box, a line's icon."""
_LETTER_PIXELS = 6.4
"""Mean width of a letter of the interface's font, at scale 1."""
_LINE_SCALE = 0.75


def draw_lines(layout: bpy.types.UILayout, context: bpy.types.Context, text: str, *, icon: str) -> None:
    """A text on as many lines as it needs, an icon before the first."""
    column = layout.column(align=True)
    column.scale_y = _LINE_SCALE
    for index, line in enumerate(textwrap.wrap(text, letters_across(context))):
        column.label(text=line, icon=icon if index == 0 else "BLANK1")


def letters_across(context: bpy.types.Context) -> int:
    """Letters that fit on a line of this sidebar."""
    region = context.region
    width = region.width if region is not None else 0
    scale = context.preferences.system.ui_scale or 1.0  # 0 while there is no window
    return max(20, int((width / scale - _FRAME_PIXELS) / _LETTER_PIXELS))
