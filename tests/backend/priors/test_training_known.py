"""What a trained prior says that it knows is what it was shown."""

from __future__ import annotations

from maquette_backend.priors.starter.training.known import known_things
from small_views import record


def test_nouns_and_their_synonyms_once_and_nothing_held_out() -> None:
    models = [record("Corner sofa"), record("Corner sofa"), record("Vase"), record("Bed", held_out=True)]
    assert known_things(models) == ("corner couch", "corner settee", "corner sofa", "vase")
