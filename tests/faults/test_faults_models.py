"""Registered models at a real gateway: their names reach clients, and nothing else of them does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fault_harness import POSITIONS, TRIANGLES, Client, backend, new_id, tetrahedron
from maquette_backend.priors.registry import BUILT_IN, FILE, FileRecord, Model, register, unregister
from maquette_protocol.auth import Connection
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.events import Connected


def _priors(connection: Connection) -> tuple[str, ...]:
    """What a client that connects now is greeted with."""
    user = Client(connection)
    try:
        found = user.wait(lambda event: isinstance(event, Connected))
        assert isinstance(found, Connected)
        return found.welcome.priors
    finally:
        user.close()


def _model(name: str) -> Model:
    return Model(name, "stable-diffusion", Path("/nowhere"), "local folder", (FileRecord("model_index.json", "0" * 64, 2, 0),))


def test_models_come_and_go_while_the_backend_runs_and_only_names_are_accepted(tmp_path):
    models = tmp_path / "home" / "models"
    with backend(tmp_path / "home") as gateway:
        assert _priors(gateway.connection) == BUILT_IN
        register(models, _model("clay"))
        assert _priors(gateway.connection) == (*BUILT_IN, "clay")
        user = Client(gateway.connection).connect()
        user.upload(POSITIONS, TRIANGLES)
        for name in ("/nowhere", "../clay", "someone/model", "Clay"):
            refused = user.answer(user.session.submit(new_id(), replace(tetrahedron(1), prior=name)))
            assert isinstance(refused, MaquetteError)
            assert refused.code == ErrorCode.UNKNOWN_PRIOR
            assert "clay, starter" in refused.remedy
        assert user.ended(user.submit(replace(tetrahedron(1), prior="clay"))).state == "finished"
        unregister(models, "clay")
        refused = user.answer(user.session.submit(new_id(), replace(tetrahedron(1), prior="clay")))
        assert isinstance(refused, MaquetteError)
        user.close()
        assert _priors(gateway.connection) == BUILT_IN


def test_a_list_that_breaks_while_the_backend_runs_changes_nothing(tmp_path):
    models = tmp_path / "home" / "models"
    register(models, _model("clay"))
    with backend(tmp_path / "home") as gateway:
        assert _priors(gateway.connection) == (*BUILT_IN, "clay")
        (models / FILE).write_text("{")
        assert _priors(gateway.connection) == (*BUILT_IN, "clay")
        log = gateway.home / "stderr.log"
        assert "register the models again" in log.read_text()
