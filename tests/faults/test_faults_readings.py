"""What a prior makes of the prompts reaches every client of its job, whatever happens meanwhile."""

from __future__ import annotations

from fault_harness import POSITIONS, TRIANGLES, Client, backend, client, tetrahedron
from maquette_protocol.limits import MAX_NAME_CHARS, MAX_NOTICE_CHARS, MAX_NOTICES
from maquette_protocol.messages import JobStatus, PromptReading
from maquette_protocol.session import JobChanged

ENTRY = ("--entry", "fault_jobs:read_prompts")
READING = PromptReading("ab" * 16, 5, "unknown", ("statue" * 100)[:MAX_NAME_CHARS], 0.25)


def _told(user: Client, job_id: str, secs: float = 15.0) -> JobStatus:
    """The first status with readings."""
    found = user.wait(
        lambda event: isinstance(event, JobChanged) and event.status.job_id == job_id and bool(event.status.readings),
        secs,
    )
    assert isinstance(found, JobChanged)
    return found.status


def test_readings_come_while_the_job_runs_and_with_its_result(tmp_path):
    with backend(tmp_path / "home", *ENTRY) as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(150))
        told = _told(user, job_id)
        assert (told.state, told.readings, told.results) == ("running", (READING,), ())
        user.progressed(job_id, 1)  # the job went on
        done = user.ended(job_id)
        assert (done.state, done.readings) == ("finished", (READING,))
        assert len(done.results) == 1


def test_who_attaches_later_is_told_too_also_when_the_job_has_long_ended(tmp_path):
    with backend(tmp_path / "home", *ENTRY) as gateway:
        with client(gateway.connection) as first:
            first.upload(POSITIONS, TRIANGLES)
            job_id = first.submit(tetrahedron(300))
            _told(first, job_id)
        with client(gateway.connection) as second:
            status = second.answer(second.session.attach(job_id))
            assert isinstance(status, JobStatus)
            assert (status.state, status.readings) == ("running", (READING,))
            assert second.ended(job_id, 30.0).readings == (READING,)
        with client(gateway.connection) as third:
            status = third.answer(third.session.attach(job_id))
            assert isinstance(status, JobStatus)
            assert (status.state, status.readings) == ("finished", (READING,))


def test_notices_come_while_the_job_runs_and_stay_with_it(tmp_path):
    """The newest of them, each once and cut to its length, for whoever attaches."""
    expected = [*(f"Notice {number}." + "x" * 300 for number in range(12 - MAX_NOTICES + 1, 12)), "Out of memory: it takes longer now."]
    expected = tuple(sentence[:MAX_NOTICE_CHARS] for sentence in expected)
    with backend(tmp_path / "home", "--entry", "fault_jobs:give_notice") as gateway:
        with client(gateway.connection) as first:
            first.upload(POSITIONS, TRIANGLES)
            job_id = first.submit(tetrahedron(150))
            first.wait(
                lambda event: isinstance(event, JobChanged) and event.status.notices == expected and event.status.state == "running",
                15.0,
            )
            first.progressed(job_id, 1)  # the job went on
            done = first.ended(job_id)
            assert (done.state, done.notices) == ("finished", expected)
        with client(gateway.connection) as second:
            status = second.answer(second.session.attach(job_id))
            assert isinstance(status, JobStatus)
            assert status.notices == expected


def test_a_killed_backend_tells_again_when_the_job_resumes(tmp_path):
    with backend(tmp_path / "home", *ENTRY) as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(200))
        user.progressed(job_id, 20)
        gateway.kill()
    with backend(tmp_path / "home", *ENTRY) as gateway, client(gateway.connection) as user:
        user.session.attach(job_id)
        assert _told(user, job_id).readings == (READING,)
        assert user.ended(job_id, 30.0).readings == (READING,)
