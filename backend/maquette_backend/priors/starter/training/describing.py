"""Words a model: from what its catalogue says and what was measured to its row of the index."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maquette_backend.priors.starter.training.captions import Facts, captions
from maquette_backend.priors.starter.training.color_words import CHANNEL_ORDERS, color_words
from maquette_backend.priors.starter.training.dataset import ModelRecord
from maquette_backend.priors.starter.training.furniture_package import FurnitureModel
from maquette_backend.priors.starter.training.kinds import is_asymmetric, kind_of
from maquette_backend.priors.starter.training.material_words import main_materials, parts_of
from maquette_backend.priors.starter.training.measuring import Measures
from maquette_backend.priors.starter.training.names import clean_noun
from maquette_backend.priors.starter.training.proportions import proportion_word
from maquette_backend.priors.starter.training.split import held_out_models


def describe(model: FurnitureModel, measures: Measures, palette: NDArray[np.uint8]) -> ModelRecord:
    """The index row of a model; ``palette`` [P,3] are its unshaded colours as seen from all sides."""
    facts = facts_of(model, measures)
    values = palette.astype(np.float64) / 255
    colors = [color_words(values[:, order]) for order in CHANNEL_ORDERS]
    return ModelRecord(
        archive=model.archive,
        path=model.path,
        name=model.name,
        noun=facts.noun,
        category=model.category,
        tags=model.tags,
        creator=model.creator,
        licence=model.licence,
        holder=model.holder,
        kind=facts.kind,
        asymmetric=is_asymmetric(facts.kind, measures),
        color=colors[0].main,
        second_color=colors[0].second,
        materials=tuple(word for word, _ in facts.materials),
        faces=measures.faces,
        held_out=(model.archive, model.path) in held_out_models(),
        captions=tuple(captions(facts, words, order) for order, words in enumerate(colors)),
    )


def facts_of(model: FurnitureModel, measures: Measures) -> Facts:
    """What its catalogue and its measures say, in words."""
    noun, told = clean_noun(model.name)
    kind = kind_of(noun, model.tags, model.category)
    unbuilt = kind in ("plant", "door") or model.category in ("Characters", "Vehicles") or "Food" in model.tags
    return Facts(
        noun=noun,
        kind=kind,
        category=model.category,
        tags=model.tags,
        materials=() if unbuilt else main_materials(kind, measures.materials, told),
        parts=parts_of(kind, measures.materials, measures.parts),
        proportion=proportion_word(kind, measures.extent),
    )
