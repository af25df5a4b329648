"""Writes who made the models that the starter prior learned from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from maquette_backend.priors.starter.training.dataset import ModelRecord

_LICENCE_TEXTS = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "CC-BY-3.0": "https://creativecommons.org/licenses/by/3.0/",
    "CC-BY-3.0-US": "https://creativecommons.org/licenses/by/3.0/us/",
}
_PREAMBLE = """# Credits of the starter prior's training data

The starter prior was trained on renders of the 3D models below, as Debian distributes them in its package
`sweethome3d-furniture` (origin: <http://www.sweethome3d.com/importModels.jsp>; most were converted to OBJ by
Emmanuel Puybaret / eTeks). Changes: some stretched along their axes, rendered to 64 × 64 pictures in colour and
normals, captioned, and some pictures mirrored or with their colour channels reordered. No credited author endorses
this project or its use.
"""


def write_credits(path: Path, models: Sequence[ModelRecord]) -> None:
    """One section an archive: licence, holder, and every model by its author."""
    sections = [_PREAMBLE]
    for archive in sorted({model.archive for model in models}):
        members = [model for model in models if model.archive == archive]
        first = members[0]
        sections.append(
            f"## {archive}\n\n{len(members)} models. Copyright {first.holder}. "
            f"Licence [{first.licence}]({_LICENCE_TEXTS[first.licence]}).\n\n{_by_creator(members)}"
        )
    path.write_text("\n".join(sections), encoding="utf-8")


def _by_creator(models: Sequence[ModelRecord]) -> str:
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.creator or "unnamed", []).append(model.name)
    lines = [f"- **{creator}**: {', '.join(titles)}" for creator, titles in sorted(names.items())]
    return "\n".join(lines) + "\n"
