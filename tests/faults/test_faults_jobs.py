"""Jobs survive what happens to workers, gateways and clients; each test breaks a real process."""

from __future__ import annotations

import os
import shutil
import signal
import time

import numpy as np
import psutil
import pytest
from fault_harness import POSITIONS, TRIANGLES, backend, client, enrol, new_id, tetrahedron, wait_for
from maquette_protocol.arrays import array_from, ref_size
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import JobList, JobStatus
from maquette_protocol.session import Downloaded, PreviewArrived


def _result(user, status: JobStatus) -> np.ndarray:
    """The positions of a finished job, fetched and checked."""
    ref = status.results[0].mesh.positions
    got = user.download(ref.sha256, ref_size(ref))
    assert isinstance(got, Downloaded)
    return array_from(ref, got.data)


def _moved(steps: int) -> np.ndarray:
    positions = POSITIONS
    for _ in range(steps):
        positions = positions + np.float32([0.01, 0, 0])
    return positions


def test_a_job_is_refined_and_its_result_fetched(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(60))
        user.wait(lambda event: isinstance(event, PreviewArrived) and event.preview.job_id == job_id)
        status = user.ended(job_id)
        assert status.state == "finished"
        np.testing.assert_array_equal(_result(user, status), _moved(60))
        assert not (tmp_path / "home" / "jobs" / job_id).exists()
        listed = user.answer(user.session.list_jobs())
        assert isinstance(listed, JobList)
        assert [(job.job_id, job.state, job.subjects) for job in listed.jobs] == [(job_id, "finished", ("Tetra",))]
        assert gateway.end() == 0  # the process asserts that it never imported torch
        assert not (tmp_path / "home" / "connection.json").exists()


def test_the_same_submission_again_gets_the_same_answer_and_another_one_a_conflict(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(5))
        done = user.ended(job_id)
        assert user.answer(user.session.submit(job_id, tetrahedron(5))) == done
        other = user.answer(user.session.submit(job_id, tetrahedron(6)))
        assert isinstance(other, MaquetteError)
        assert other.code == ErrorCode.CONFLICT
        assert len(gateway.lines("runs.log")) == 1


def test_a_worker_killed_mid_job_resumes_from_its_checkpoint(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(80))
        user.progressed(job_id, 20)
        os.kill(gateway.worker_pid(), signal.SIGKILL)
        status = user.ended(job_id)
        assert status.state == "finished"
        np.testing.assert_array_equal(_result(user, status), _moved(80))
        begun_at = [int(line.split()[1]) for line in gateway.lines("runs.log")]
        assert begun_at[0] == 0
        assert begun_at[1] >= 15


def test_a_poison_job_is_given_up_after_two_workers_and_the_next_one_runs(tmp_path):
    with backend(tmp_path / "home", "--entry", "fault_jobs:poison") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        status = user.ended(user.submit(tetrahedron(5)))
        assert (status.state, status.error_code) == ("failed", ErrorCode.WORKER_LOST)
        assert status.error_remedy
        assert len(gateway.lines("runs.log")) == 2
        assert user.ended(user.submit(tetrahedron(6))).error_code == ErrorCode.WORKER_LOST


def test_a_frozen_worker_is_noticed_within_8_seconds(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(60))
        user.progressed(job_id, 10)
        frozen = psutil.Process(gateway.worker_pid())
        frozen.suspend()
        begin = time.monotonic()
        wait_for(lambda: user.pump() or len(gateway.lines("runs.log")) == 2, 12.0)
        assert time.monotonic() - begin <= 8.0
        assert user.ended(job_id).state == "finished"
        assert not frozen.is_running()


def test_cancel_reaches_a_running_and_a_waiting_job(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        running, waiting = user.submit(tetrahedron(5000)), user.submit(tetrahedron(5000, 1))
        user.progressed(running, 3)
        position = user.answer(user.session.attach(waiting))
        assert isinstance(position, JobStatus)
        assert (position.state, position.queue_position) == ("queued", 1)
        begin = time.monotonic()
        user.session.cancel(waiting)
        assert user.ended(waiting).state == "cancelled"
        user.session.cancel(running)
        assert user.ended(running).state == "cancelled"
        assert time.monotonic() - begin < 2.0
        assert len(gateway.lines("runs.log")) == 1


def test_stop_and_keep_delivers_what_there_is(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        job_id = user.submit(tetrahedron(5000))
        user.progressed(job_id, 10)
        user.session.cancel(job_id, keep=True)
        status = user.ended(job_id)
        assert status.state == "finished"
        done = len(gateway.lines("steps.log"))
        assert 10 <= done < 5000
        np.testing.assert_array_equal(_result(user, status), _moved(done))


def test_jobs_and_results_of_another_key_are_out_of_reach(tmp_path):
    with backend(tmp_path / "home") as gateway, client(gateway.connection) as owner:
        owner.upload(POSITIONS, TRIANGLES)
        job_id = owner.submit(tetrahedron(5000))
        with client(gateway.connection, enrol(gateway.home)) as other:
            for ticket in (other.session.cancel(job_id), other.session.attach(job_id)):
                refused = other.answer(ticket)
                assert isinstance(refused, MaquetteError)
                assert refused.code == ErrorCode.UNKNOWN_JOB
            listed = other.answer(other.session.list_jobs())
            assert listed == JobList(())
            missing = other.answer(other.session.submit(new_id(), tetrahedron(5)))
            assert isinstance(missing, MaquetteError)
            assert missing.code == ErrorCode.BLOB_MISSING
            assert "Tetra" in missing.message
            taken = other.answer(other.session.submit(job_id, tetrahedron(5000)))
            assert isinstance(taken, MaquetteError)
        owner.session.cancel(job_id)
        assert owner.ended(job_id).state == "cancelled"


def test_sigterm_mid_job_shelves_it_and_the_next_start_finishes_it(tmp_path):
    with backend(tmp_path / "home") as first, client(first.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        keys = enrol(first.home)
        with client(first.connection, keys) as lasting:
            lasting.upload(POSITIONS, TRIANGLES)
            job_id = lasting.submit(tetrahedron(100))
            lasting.progressed(job_id, 20)
        worker = psutil.Process(first.worker_pid())
        assert first.end() == 0
        assert not worker.is_running()
    with backend(tmp_path / "home") as second, client(second.connection, keys) as lasting:
        lasting.session.attach(job_id)
        status = lasting.ended(job_id)
        assert status.state == "finished"
        np.testing.assert_array_equal(_result(lasting, status), _moved(100))
        assert [int(line) for line in second.lines("steps.log")] == list(range(1, 101))  # not a step twice


@pytest.mark.parametrize(
    ("entry", "code", "said"),
    [
        ("run_out_of_memory", ErrorCode.OUT_OF_MEMORY, "14 GiB"),
        ("break_down", ErrorCode.INTERNAL, "ZeroDivisionError: of a defect"),
    ],
)
def test_a_failing_job_says_why(tmp_path, entry, code, said):
    with backend(tmp_path / "home", "--entry", f"fault_jobs:{entry}") as gateway, client(gateway.connection) as user:
        user.upload(POSITIONS, TRIANGLES)
        status = user.ended(user.submit(tetrahedron(5)))
        assert (status.state, status.error_code) == ("failed", code)
        assert said in status.error_message
        assert status.error_remedy


@pytest.fixture(scope="module")
def uploaded(tmp_path_factory):
    """A home that already has the blobs of ``tetrahedron``, and the key that uploaded them."""
    home = tmp_path_factory.mktemp("uploaded") / "home"
    with backend(home) as gateway:
        assert gateway.connection
        keys = enrol(home)
        with client(gateway.connection, keys) as user:
            user.upload(POSITIONS, TRIANGLES)
    return home, keys


@pytest.mark.parametrize("commit", range(1, 9))
def test_a_gateway_killed_after_any_journal_write_loses_and_repeats_nothing(tmp_path, uploaded, commit):
    """The commits of one job: blobs touched, accepted, begun, four result blobs settled, ended."""
    home, keys = tmp_path / "home", uploaded[1]
    shutil.copytree(uploaded[0], home)
    job_id = new_id()
    # Two commits are the start's own tidying; the killed ones are those after them.
    with (
        backend(home, "--die-after-commit", str(commit + 2)) as dying,
        client(dying.connection, keys) as user,
    ):
        user.session.submit(job_id, tetrahedron(10))
        wait_for(lambda: user.pump() or dying.process.poll() is not None, 10.0)
        assert dying.process.returncode == -signal.SIGKILL
    with backend(home) as again, client(again.connection, keys) as user:
        user.session.submit(job_id, tetrahedron(10))  # what a client does that had no answer
        status = user.ended(job_id)
        assert status.state == "finished"
        np.testing.assert_array_equal(_result(user, status), _moved(10))
        listed = user.answer(user.session.list_jobs())
        assert isinstance(listed, JobList)
        assert len(listed.jobs) == 1
        assert 1 <= len(again.lines("runs.log")) <= 2
