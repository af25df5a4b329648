"""The journal and the holdings: durable, exclusive, and private to each client."""

from __future__ import annotations

import pytest
from maquette_backend.server.database import Database
from maquette_backend.server.holdings import Holdings
from maquette_backend.server.journal import Journal
from maquette_protocol.errors import ErrorCode, MaquetteError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite3"


def test_accepted_once_and_the_same_only_with_the_same_recipe_and_owner(path):
    journal = Journal(Database(path))
    assert journal.accept("j", "me", b"recipe", "h", 1.0)
    assert not journal.accept("j", "me", b"recipe", "h", 2.0)
    for owner, digest in (("me", "other"), ("you", "h")):
        with pytest.raises(MaquetteError) as caught:
            journal.accept("j", owner, b"recipe", digest, 3.0)
        assert caught.value.code == ErrorCode.CONFLICT
    assert journal.job_of("j", "me").created_unix_secs == 1.0


def test_everything_is_there_after_the_file_was_opened_anew(path):
    database = Database(path)
    journal = Journal(database)
    for job_id in ("a", "b", "c"):
        journal.accept(job_id, "me", b"r", "h", 1.0)
    assert [journal.begin("a"), journal.begin("a")] == [1, 2]
    assert [journal.worker_died("a"), journal.worker_died("a")] == [1, 2]
    journal.set_wish("b", "stop_and_keep")
    journal.end("c", "finished", b"status", 5.0)
    database.close()
    again = Journal(Database(path))
    assert [record.job_id for record in again.unfinished()] == ["a", "b"]
    assert (again.job_of("a", "me").deaths, again.job_of("a", "me").token) == (2, 2)
    assert again.job_of("b", "me").wish == "stop_and_keep"
    assert (again.job_of("c", "me").state, again.job_of("c", "me").status) == ("finished", b"status")
    assert again.begin("a") == 3


def test_another_clients_job_looks_like_none(path):
    journal = Journal(Database(path))
    mine, nobodys = "0" * 32, "1" * 32
    journal.accept(mine, "me", b"r", "h", 1.0)
    messages = []
    for job_id in (mine, nobodys):
        with pytest.raises(MaquetteError) as caught:
            journal.job_of(job_id, "you")
        messages.append((caught.value.code, caught.value.message.replace(job_id, "")))
    assert messages[0] == messages[1]


def test_a_second_backend_is_kept_out_of_the_same_home(path):
    Journal(Database(path)).accept("j", "me", b"r", "h", 1.0)
    with pytest.raises(MaquetteError, match="journal") as caught:
        Database(path)
    assert "--home" in caught.value.remedy


def test_a_transaction_that_raises_changes_nothing_and_is_not_announced(path):
    commits = []
    database = Database(path, lambda: commits.append(1))
    holdings = Holdings(database, 100)

    def insert_and_fail() -> None:
        with database.transaction() as connection:
            connection.execute("INSERT INTO holdings VALUES ('me', 'x', 1, 1, 0)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        insert_and_fail()
    assert not holdings.is_held("x")
    assert commits == []


def test_the_quota_counts_what_was_announced_and_each_client_alone(path):
    holdings = Holdings(Database(path), 100)
    holdings.reserve("me", "a", 60, 0.0)
    holdings.reserve("me", "a", 60, 0.0)  # again: counted once
    with pytest.raises(MaquetteError) as caught:
        holdings.reserve("me", "b", 41, 0.0)
    assert caught.value.code == ErrorCode.QUOTA_EXCEEDED
    holdings.reserve("me", "b", 40, 0.0)
    holdings.reserve("you", "a", 100, 0.0)
    assert not holdings.complete("me", "a")
    holdings.settle("me", "a", 60, 1.0)
    assert holdings.complete("me", "a")
    assert not holdings.complete("you", "a")


def test_only_old_holdings_that_nobody_needs_are_collected(path):
    holdings = Holdings(Database(path), 100)
    for sha256, touched in (("old", 1.0), ("needed", 1.0), ("new", 9.0)):
        holdings.settle("me", sha256, 1, touched)
    holdings.settle("you", "old", 1, 9.0)
    assert holdings.forget_before(5.0, frozenset({"needed"})) == [("me", "old")]
    assert holdings.is_held("old")
    assert not holdings.complete("me", "old")
    assert holdings.complete("me", "needed")
