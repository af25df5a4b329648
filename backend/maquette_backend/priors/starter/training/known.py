"""What a trained prior knows, for its folder's ``known.txt``: the nouns of the pictures it was shown.

``python -m maquette_backend.priors.starter.training.known FOLDER`` writes it for a folder that was made without.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from maquette_backend.priors.starter.familiarity import save_known
from maquette_backend.priors.starter.training.data import DEFAULT_CACHE
from maquette_backend.priors.starter.training.dataset import ModelRecord, load_views
from maquette_backend.priors.starter.training.names import synonyms


def known_things(models: Iterable[ModelRecord]) -> tuple[str, ...]:
    """Bare nouns of the models that are not held out, and their synonyms as captions use them; sorted."""
    nouns = {model.noun for model in models if not model.held_out}
    return tuple(sorted(nouns | {word for noun in nouns for word in synonyms(noun)}))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the prior's")
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE, help="where `data` put the views")
    arguments = parser.parse_args()
    save_known(arguments.folder, known_things(load_views(arguments.cache / "views").models))


if __name__ == "__main__":
    main()
