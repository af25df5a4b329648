"""The scheduler's promises as properties: fair, ordered, fenced."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from maquette_backend.server.scheduler import Scheduler


def _drain(scheduler: Scheduler) -> list[str]:
    started: list[str] = []
    while (lease := scheduler.lease("w", len(started), 0.0)) is not None:
        scheduler.release(lease.job_id, lease.token)
        started.append(lease.job_id)
    return started


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_jobs_start_in_the_announced_order_each_owners_own_in_the_order_they_came(owners):
    scheduler = Scheduler(10.0)
    jobs = [f"{owner}{place}" for place, owner in enumerate(owners)]
    for job in jobs:
        scheduler.enqueue(job, job[0])
    announced = scheduler.order()
    assert scheduler.positions() == {job: place for place, job in enumerate(announced)}
    started = _drain(scheduler)
    assert started == announced
    for owner in "abc":
        assert [job for job in started if job[0] == owner] == [job for job in jobs if job[0] == owner]


@given(st.integers(1, 20), st.integers(1, 20))
def test_a_busy_client_never_keeps_another_waiting_for_two_jobs(many, few):
    scheduler = Scheduler(10.0)
    for place in range(many):
        scheduler.enqueue(f"a{place}", "a")
    for place in range(few):
        scheduler.enqueue(f"b{place}", "b")
    started = _drain(scheduler)
    shared = started[: 2 * min(many, few)]
    assert all(first[0] != second[0] for first, second in pairwise(shared))


def test_a_lost_worker_is_not_heard_and_the_job_goes_to_the_next():
    scheduler = Scheduler(10.0)
    scheduler.enqueue("job", "a")
    scheduler.lease("first", 1, 0.0)
    assert scheduler.positions() == {}
    assert [lease.worker for lease in scheduler.expired(10.0)] == ["first"]
    assert scheduler.release("job", 1)
    scheduler.enqueue_first("job", "a")
    scheduler.lease("second", 2, 11.0)
    assert not scheduler.holds("job", 1)
    assert not scheduler.release("job", 1)
    assert scheduler.holds("job", 2)
    assert scheduler.release("job", 2)


def test_a_renewed_lease_lasts_and_a_stale_token_renews_nothing():
    scheduler = Scheduler(10.0)
    scheduler.enqueue("job", "a")
    scheduler.lease("w", 7, 0.0)
    scheduler.renew("job", 6, 9.0)
    assert scheduler.expired(10.0)
    scheduler.renew("job", 7, 9.0)
    assert not scheduler.expired(18.9)
    assert scheduler.expired(19.0)


def test_a_withdrawn_job_is_gone_and_those_that_run_count_as_ahead():
    scheduler = Scheduler(10.0)
    for job in ("one", "two", "three"):
        scheduler.enqueue(job, "a")
    scheduler.lease("w", 1, 0.0)
    assert scheduler.positions() == {"two": 1, "three": 2}
    assert scheduler.withdraw("two")
    assert not scheduler.withdraw("one")
    assert scheduler.positions() == {"three": 1}
