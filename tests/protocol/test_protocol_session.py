"""The two sessions against each other, in memory, with loss, delay, damage and a clock that tests turn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from maquette_protocol import limits
from maquette_protocol.arrays import sha256_hex
from maquette_protocol.codec import HEADER, MAGIC, Envelope, encode
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import (
    AttachJob,
    BlobWanted,
    CancelJob,
    ChunkStored,
    Error,
    GetChunk,
    Hello,
    JobProgress,
    JobStatus,
    ListJobs,
    OfferBlob,
    Ping,
    Preview,
    PreviewCredit,
    PutChunk,
    SubmitJob,
    Welcome,
)
from maquette_protocol.session import (
    Answered,
    Asked,
    Broke,
    ClientSession,
    Connected,
    Downloaded,
    Greeted,
    JobChanged,
    JobProgressed,
    Lost,
    PeerSession,
    PreviewArrived,
    Protested,
    Refused,
    RequestFailed,
    TransferFailed,
    TransferMoved,
    Uploaded,
)
from protocol_pair import Backend, Pair, lose
from protocol_samples import JOB, PREVIEW_ARRAYS, RECIPE, SUBJECT

MIB = 1 << 20
PREVIEW = Preview(JOB, SUBJECT, "geometry", 1, 1)


def of(kind: type, events: list) -> list:
    return [event for event in events if isinstance(event, kind)]


def blob(mebibytes: float, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(int(mebibytes * MIB))


@pytest.fixture
def pair() -> Pair:
    joined = Pair()
    assert of(Connected, joined.settle())
    return joined


@pytest.fixture
def running(pair: Pair) -> Pair:
    """A pair with a job under way."""
    pair.client.submit(JOB, RECIPE)
    assert of(JobChanged, pair.settle())
    return pair


# ---- handshake and versions -------------------------------------------------------------------------
def test_hello_comes_first_and_is_welcomed(pair: Pair) -> None:
    assert isinstance(pair.sent_up[0].message, Hello)
    assert pair.peer_events == [Greeted(pair.sent_up[0].message)]
    assert pair.client.state == "ready"


def test_message_before_hello_is_refused_and_makes_the_client_connect_anew(pair: Pair) -> None:
    pair.peer = PeerSession(pair.clock, lambda: Welcome(1, 0, "restarted", (), "CPU"))
    ticket = pair.client.list_jobs()
    events = pair.settle()
    assert of(Lost, events)[0].error.code == ErrorCode.NO_HELLO
    events = pair.wait(1)
    assert of(Connected, events)
    assert [event.ticket for event in of(Answered, events)] == [ticket]
    assert pair.sockets == 2


def test_hello_of_another_major_is_refused_naming_both(pair: Pair) -> None:
    other = ClientSession(pair.clock, "future", major=9)
    peer = PeerSession(pair.clock, lambda: Welcome(1, 0, "b", (), "CPU"))
    other.socket_opened()
    (broke,) = peer.receive([bytes(f) for f in encode(other.take_outgoing()[0])])
    assert isinstance(broke, Broke)
    assert peer.hello is None
    (refused,) = other.receive(encode(peer.take_outgoing()[0]))
    assert isinstance(refused, Refused)
    assert refused.error.code == ErrorCode.VERSION_MISMATCH
    assert "version 9" in refused.error.message
    assert "version 1" in refused.error.message
    assert other.state == "refused"
    pair.clock.secs += 3600
    assert not other.wants_new_socket
    other.reconnect()
    assert other.wants_new_socket


def test_frames_of_another_major_refuse_on_either_side(pair: Pair) -> None:
    frames = [HEADER.pack(MAGIC, 9, 0, 0), b"\x80"]
    (broke,) = pair.peer.receive(frames)
    assert isinstance(broke, Broke)
    assert broke.error.code == ErrorCode.VERSION_MISMATCH
    ticket = pair.client.list_jobs()
    refused, failed = pair.client.receive(frames)
    assert isinstance(refused, Refused)
    assert isinstance(failed, RequestFailed)
    assert failed.ticket == ticket
    assert pair.client.state == "refused"


def test_silence_at_the_door_is_told_and_tried_again_ever_more_slowly() -> None:
    pair = Pair()
    pair.up = lose
    events = pair.wait(120)
    lost = of(Lost, events)
    assert lost[0].error.code == ErrorCode.UNREACHABLE
    assert lost[0].error.remedy
    # each try takes the hello time-out and a wait that doubles up to its maximum
    slowest = limits.HELLO_TIMEOUT_SECS + limits.BACKOFF_MAX_SECS
    assert 120 / slowest <= pair.sockets <= 120 / limits.HELLO_TIMEOUT_SECS
    pair.up = Pair().up
    assert of(Connected, pair.wait(slowest + 1))


# ---- requests ---------------------------------------------------------------------------------------
def test_answers_find_their_requests_whatever_their_order(pair: Pair) -> None:
    tickets = [pair.client.list_jobs(), pair.client.submit(JOB, RECIPE), pair.client.list_jobs()]
    asked = []
    for envelope in pair.client.take_outgoing():
        asked += pair.peer.receive(encode(envelope))
    for event in reversed(asked):
        pair.backend.handle(pair.peer, event)
    answered = of(Answered, pair.settle())
    assert [event.ticket for event in answered] == tickets[::-1]
    assert [type(event.request) for event in answered] == [ListJobs, SubmitJob, ListJobs]


def test_same_id_same_recipe_same_answer_and_another_recipe_is_a_conflict(running: Pair) -> None:
    again = running.client.submit(JOB, RECIPE)
    other = running.client.submit(JOB, replace(RECIPE, seed=43))
    events = running.settle()
    assert [event.ticket for event in of(Answered, events)] == [again]
    assert [(event.ticket, event.error.code) for event in of(RequestFailed, events)] == [(other, ErrorCode.CONFLICT)]


def test_request_without_answer_times_out_once(pair: Pair) -> None:
    pair.down = lambda envelope: None if isinstance(envelope.message, JobStatus) else Pair().down(envelope)
    ticket = pair.client.submit(JOB, RECIPE)
    assert not of(RequestFailed, pair.wait(limits.REQUEST_TIMEOUT_SECS - 1))
    failed = of(RequestFailed, pair.wait(60))
    assert [(event.ticket, event.error.code) for event in failed] == [(ticket, ErrorCode.TIMED_OUT)]


def test_request_that_breaks_a_bound_fails_at_once(pair: Pair) -> None:
    with pytest.raises(MaquetteError):
        pair.client.cancel("../x")
    assert not pair.settle()


def test_malformed_request_is_answered_and_harms_nothing(pair: Pair) -> None:
    frames = [bytes(frame) for frame in encode(Envelope(CancelJob(JOB), 50))]
    frames[1] = frames[1].replace(JOB.encode(), JOB.upper().encode())
    (broke,) = pair.peer.receive(frames)
    assert isinstance(broke, Broke)
    (answer,) = pair.peer.take_outgoing()
    assert isinstance(answer.message, Error)
    assert answer.re == 50
    pair.client.list_jobs()
    assert of(Answered, pair.settle())


def test_repeated_or_older_sequence_numbers_are_refused(pair: Pair) -> None:
    frames = encode(Envelope(ListJobs(), 5))
    assert of(Asked, pair.peer.receive(frames))
    assert of(Broke, pair.peer.receive(frames))
    assert of(Broke, pair.peer.receive(encode(Envelope(ListJobs(), 4))))


def test_too_many_open_requests_are_refused_on_both_sides(pair: Pair) -> None:
    answers = [pair.peer.receive(encode(Envelope(ListJobs(), 10 + i))) for i in range(limits.MAX_OPEN_REQUESTS + 1)]
    assert isinstance(answers[-2][0], Asked)
    assert isinstance(answers[-1][0], Broke)
    for _ in range(limits.MAX_OPEN_REQUESTS // 2):
        pair.client.list_jobs()
    with pytest.raises(MaquetteError, match="wait for an answer"):
        pair.client.list_jobs()


def test_a_request_is_answered_once(pair: Pair) -> None:
    (asked,) = pair.peer.receive(encode(Envelope(ListJobs(), 5)))
    pair.backend.handle(pair.peer, asked)
    with pytest.raises(ValueError, match="5"):
        pair.peer.refuse(5, MaquetteError(ErrorCode.INTERNAL, "again"))


# ---- liveness ---------------------------------------------------------------------------------------
def test_quiet_connection_is_kept_by_pings(pair: Pair) -> None:
    assert not of(Lost, pair.wait(60))
    pings = of(Ping, [envelope.message for envelope in pair.sent_up])
    assert 60 / limits.PING_INTERVAL_SECS * 0.7 < len(pings) <= 60 / limits.PING_INTERVAL_SECS
    assert not pair.peer.lost


def test_frozen_backend_is_noticed_within_eight_seconds(pair: Pair) -> None:
    pair.down = lose
    start, lost_after = pair.clock.secs, None
    for _ in range(40):
        if of(Lost, pair.wait(0.25)):
            lost_after = pair.clock.secs - start
            break
    assert lost_after is not None
    assert lost_after <= 8


def test_silent_client_is_noticed(pair: Pair) -> None:
    pair.up = lose
    pair.wait(limits.LIVENESS_SECS - 0.5)
    assert not pair.peer.lost
    peer = pair.peer
    pair.clock.secs += 1
    assert peer.lost


def test_unanswered_requests_and_jobs_survive_a_loss(running: Pair) -> None:
    running.down = lose
    ticket = running.client.list_jobs()
    assert of(Lost, running.wait(limits.LIVENESS_SECS + 0.5))
    running.down = Pair().down
    events = running.wait(2 * limits.HELLO_TIMEOUT_SECS)
    assert of(Connected, events)
    assert ticket in [event.ticket for event in of(Answered, events)]
    assert running.peer.attached == {JOB}
    assert running.peer.wants_preview(JOB)


def test_submission_lost_with_the_connection_is_repeated_not_doubled(pair: Pair) -> None:
    pair.down = lose
    ticket = pair.client.submit(JOB, RECIPE)
    pair.wait(limits.LIVENESS_SECS + 0.5)
    assert list(pair.backend.jobs) == [JOB]
    pair.down = Pair().down
    events = pair.wait(2 * limits.HELLO_TIMEOUT_SECS)
    assert [event.ticket for event in of(Answered, events)] == [ticket]
    assert len(pair.backend.jobs) == 1
    submits = [envelope for envelope in pair.sent_up if isinstance(envelope.message, SubmitJob)]
    assert len(submits) >= 2


def test_job_that_the_restarted_backend_does_not_know_is_reported(running: Pair) -> None:
    running.backend.jobs.clear()
    running.client.lose(MaquetteError(ErrorCode.UNREACHABLE, "socket closed"))
    failed = of(RequestFailed, running.wait(1))
    assert [(event.request, event.error.code) for event in failed] == [(AttachJob(JOB), ErrorCode.UNKNOWN_JOB)]


def test_long_outage_fails_requests_but_keeps_the_job(running: Pair) -> None:
    running.down = lose
    running.client.list_jobs()
    failed = of(RequestFailed, running.wait(60))
    assert {event.error.code for event in failed} == {ErrorCode.UNREACHABLE}
    running.down = Pair().down
    running.wait(30)
    assert running.peer.attached == {JOB}


# ---- uploads and downloads --------------------------------------------------------------------------
def test_upload_within_its_window(pair: Pair) -> None:
    data = blob(20.5)
    sha256 = pair.client.upload(data)
    assert sha256 == sha256_hex(data)
    in_flight, most = 0, 0
    events = []
    while True:
        up = pair.client.take_outgoing()
        in_flight += sum(isinstance(envelope.message, PutChunk) for envelope in up)
        most = max(most, in_flight)
        for envelope in up:
            for asked in pair.peer.receive(encode(envelope)):
                pair.backend.handle(pair.peer, asked)
        down = pair.peer.take_outgoing()
        in_flight -= sum(isinstance(envelope.message, ChunkStored) for envelope in down)
        events += [event for envelope in down for event in pair.client.receive(encode(envelope))]
        if not up and not down:
            break
    assert most == limits.CHUNK_WINDOW
    assert bytes(pair.backend.blobs[sha256][0]) == data
    assert pair.backend.chunks == 21
    moves = [event.done for event in of(TransferMoved, events)]
    assert moves == sorted(moves)
    assert moves[-1] == len(data)
    assert of(Uploaded, events) == [Uploaded(sha256)]


def test_known_blob_is_not_sent_again(pair: Pair) -> None:
    data = blob(2)
    pair.client.upload(data)
    pair.settle()
    pair.client.upload(data)
    assert of(Uploaded, pair.settle())
    assert pair.backend.chunks == 2


def test_upload_cut_off_half_way_resumes(pair: Pair) -> None:
    data = blob(30)
    sha256 = pair.client.upload(data)
    for _ in range(3):
        pair.turn()
    before = pair.backend.chunks
    assert 0 < before < 30
    pair.client.lose(MaquetteError(ErrorCode.UNREACHABLE, "cable pulled"))
    events = pair.wait(2)
    assert of(Uploaded, events) == [Uploaded(sha256)]
    assert pair.backend.chunks == 30, "no chunk was sent twice"
    assert bytes(pair.backend.blobs[sha256][0]) == data


def test_lost_chunks_and_answers_are_made_good(pair: Pair) -> None:
    """A full queue drops silently; every chunk is lost once on one way or the other."""
    seen: set[tuple[type, int]] = set()

    def once(envelope: Envelope) -> list[bytes] | None:
        message = envelope.message
        key = (type(message), getattr(message, "offset", -1))
        if isinstance(message, PutChunk | ChunkStored) and key[1] % (3 * MIB) == 0 and key not in seen:
            seen.add(key)
            return None
        return [bytes(frame) for frame in encode(envelope)]

    pair.up = pair.down = once
    data = blob(10)
    sha256 = pair.client.upload(data)
    assert of(Uploaded, pair.wait(60)) == [Uploaded(sha256)]
    assert len(seen) == 8
    assert bytes(pair.backend.blobs[sha256][0]) == data


def test_chunks_acknowledged_and_lost_before_they_were_kept_are_sent_again(pair: Pair) -> None:
    """A backend that is killed forgets what it had not written; the client has the bytes until ``complete``."""
    data = blob(10)
    sha256 = pair.client.upload(data)
    for _ in range(2):
        pair.turn()
    acknowledged = pair.backend.chunks
    assert 0 < acknowledged < 10
    pair.backend = Backend()
    pair.client.lose(MaquetteError(ErrorCode.UNREACHABLE, "killed"))
    assert of(Uploaded, pair.wait(2)) == [Uploaded(sha256)]
    assert pair.backend.chunks == 10
    assert bytes(pair.backend.blobs[sha256][0]) == data


def test_all_acknowledged_is_not_complete(pair: Pair) -> None:
    """Two chunks are acknowledged and not kept: no ``Uploaded`` before they came once more."""
    data = blob(10)
    sha256 = pair.client.upload(data)
    lost: set[int] = set()

    def forgetful(envelope: Envelope) -> list[bytes] | None:
        message = envelope.message
        if isinstance(message, PutChunk) and message.offset in (0, 5 * MIB) and message.offset not in lost:
            lost.add(message.offset)
            answer = Envelope(ChunkStored(sha256, message.offset, False), 10**6 + len(lost), envelope.seq)
            pair.client_events += pair.client.receive(encode(answer))
            return None
        return [bytes(frame) for frame in encode(envelope)]

    pair.up = forgetful
    assert of(Uploaded, pair.settle()) == [Uploaded(sha256)]
    assert lost == {0, 5 * MIB}
    assert pair.backend.chunks == 10
    assert bytes(pair.backend.blobs[sha256][0]) == data


def test_an_error_in_place_of_a_later_acknowledgement_fails_the_upload_with_it(pair: Pair) -> None:
    data = blob(10)
    sha256 = pair.client.upload(data)
    take = pair.backend.handle

    def full(peer: PeerSession, asked: Asked) -> None:
        if isinstance(asked.message, PutChunk) and asked.message.offset >= 6 * MIB:
            peer.refuse(asked.seq, MaquetteError(ErrorCode.DISK_FULL, "0 bytes free"))
        else:
            take(peer, asked)

    pair.backend.handle = full
    failed = of(TransferFailed, pair.settle())
    assert [(event.sha256, event.error.code) for event in failed] == [(sha256, ErrorCode.DISK_FULL)]
    pair.backend.handle = take
    pair.client.upload(data)
    assert of(Uploaded, pair.settle()) == [Uploaded(sha256)]
    assert pair.backend.chunks == 10


def test_damaged_blob_is_offered_and_sent_again_but_not_for_ever(pair: Pair) -> None:
    sha256 = pair.client.upload(blob(2), sha256="0" * 64)
    failed = of(TransferFailed, pair.wait(5))
    assert [(event.sha256, event.error.code) for event in failed] == [(sha256, ErrorCode.BLOB_CORRUPT)]
    assert pair.backend.chunks == 2 * limits.MAX_TRANSFER_ATTEMPTS


def test_refused_offer_fails_the_upload_with_the_reason(pair: Pair) -> None:
    pair.client.upload(blob(1))
    (offer,) = pair.client.take_outgoing()
    (asked,) = pair.peer.receive(encode(offer))
    pair.peer.refuse(asked.seq, MaquetteError(ErrorCode.DISK_FULL, "0 bytes free", "Free some space."))
    (failed,) = pair.client.receive(encode(pair.peer.take_outgoing()[0]))
    assert failed.error.code == ErrorCode.DISK_FULL
    assert failed.error.remedy == "Free some space."


def test_transfer_through_an_outage_fails_as_unreachable(pair: Pair) -> None:
    sha256 = pair.client.upload(blob(3))
    pair.down = lose
    failed = of(TransferFailed, pair.wait(60))
    assert [(event.sha256, event.error.code) for event in failed] == [(sha256, ErrorCode.UNREACHABLE)]


def test_transfer_that_stands_still_on_a_living_connection_times_out(pair: Pair) -> None:
    pair.up = lambda envelope: None if isinstance(envelope.message, PutChunk) else Pair().up(envelope)
    pair.client.upload(blob(3))
    failed = of(TransferFailed, pair.wait(5 * limits.CHUNK_TIMEOUT_SECS))
    assert [event.error.code for event in failed] == [ErrorCode.TIMED_OUT]
    assert pair.client.state == "ready"


def test_impossible_answer_fails_the_transfer_and_nothing_else(pair: Pair) -> None:
    sha256 = pair.client.upload(blob(1))
    (offer,) = pair.client.take_outgoing()
    (event,) = pair.client.receive(encode(Envelope(BlobWanted(sha256, ((0, 9 * MIB),)), 2, offer.seq)))
    assert isinstance(event, TransferFailed)
    pair.client.list_jobs()
    assert of(Answered, pair.settle())


def test_download_checks_size_and_hash(pair: Pair) -> None:
    data = blob(9.25)
    pair.client.upload(data)
    pair.settle()
    sha256 = sha256_hex(data)
    pair.client.download(sha256, len(data))
    (downloaded,) = of(Downloaded, pair.settle())
    assert downloaded.data == data
    pair.backend.blobs[sha256][0][5] ^= 1
    pair.client.download(sha256, len(data))
    assert [event.error.code for event in of(TransferFailed, pair.settle())] == [ErrorCode.BLOB_CORRUPT]
    pair.client.download(sha256, len(data) - 1)
    assert of(TransferFailed, pair.settle())


def test_download_resumes_after_a_loss(pair: Pair) -> None:
    data = blob(20)
    pair.client.upload(data)
    pair.settle()
    pair.client.download(sha256_hex(data), len(data))
    pair.turn()
    pair.client.lose(MaquetteError(ErrorCode.UNREACHABLE, "cable pulled"))
    (downloaded,) = of(Downloaded, pair.wait(2))
    assert downloaded.data == data
    asked = [e.message for e in pair.sent_up if isinstance(e.message, GetChunk)]
    assert len(asked) == 20


def test_cancel_goes_before_bulk(running: Pair) -> None:
    running.client.upload(blob(30))
    running.turn()
    running.client.cancel(JOB)
    assert isinstance(running.client.take_outgoing()[0].message, CancelJob)


def test_stopped_transfer_says_nothing_more(pair: Pair) -> None:
    sha256 = pair.client.upload(blob(30))
    pair.turn()
    pair.turn()
    pair.client.stop_transfer(sha256)
    pair.take()
    assert not pair.wait(60)
    assert not [e for e in pair.client.take_outgoing() if isinstance(e.message, PutChunk | OfferBlob)]


# ---- previews ---------------------------------------------------------------------------------------
def test_credit_bounds_the_previews_and_the_newest_wins(running: Pair) -> None:
    for step in range(1, 8):
        running.peer.preview(replace(PREVIEW, step=step), PREVIEW_ARRAYS)
        running.turn()
    assert [event.preview.step for event in of(PreviewArrived, running.settle())] == [1, 2]
    assert not running.peer.wants_preview(JOB)
    running.client.preview_taken(JOB)
    assert [event.preview.step for event in of(PreviewArrived, running.settle())] == [7]


def test_previews_flow_for_as_long_as_they_are_taken(running: Pair) -> None:
    steps = []
    for step in range(50):
        running.peer.preview(replace(PREVIEW, step=step), PREVIEW_ARRAYS)
        for event in of(PreviewArrived, running.settle()):
            steps.append(event.preview.step)
            running.client.preview_taken(JOB)
        running.settle()
    assert steps == list(range(50))


def test_what_did_not_change_is_sent_once_and_arrives_whole(running: Pair) -> None:
    moved = {**PREVIEW_ARRAYS, "positions": PREVIEW_ARRAYS["positions"] + 1}
    other_subject = replace(PREVIEW, subject_id="ab" * 16, step=3)
    for preview, arrays in ((PREVIEW, PREVIEW_ARRAYS), (replace(PREVIEW, step=2), moved), (other_subject, moved)):
        running.peer.preview(preview, arrays)
        (arrived,) = of(PreviewArrived, running.settle())
        assert set(arrived.arrays) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(arrived.arrays[name], array)
        running.client.preview_taken(JOB)
        running.settle()
    sent = [set(envelope.arrays) for envelope in running.sent_down if isinstance(envelope.message, Preview)]
    assert sent == [set(PREVIEW_ARRAYS), {"positions"}, set(PREVIEW_ARRAYS)]


def test_new_connection_gets_whole_previews_and_new_credit(running: Pair) -> None:
    running.peer.preview(PREVIEW, PREVIEW_ARRAYS)
    running.settle()
    running.client.lose(MaquetteError(ErrorCode.UNREACHABLE, "cable pulled"))
    running.wait(1)
    for step in (2, 3, 4):
        running.peer.preview(replace(PREVIEW, step=step), PREVIEW_ARRAYS)
        running.turn()
    arrived = of(PreviewArrived, running.settle())
    assert [event.preview.step for event in arrived] == [2, 3]
    assert all(set(event.arrays) == set(PREVIEW_ARRAYS) for event in arrived)


def test_preview_that_keeps_what_never_came_is_reported(running: Pair) -> None:
    (event,) = running.client.receive(encode(Envelope(replace(PREVIEW, kept=("triangles",)), 99)))
    assert isinstance(event, Protested)


def test_credit_is_void_before_attaching_and_capped_after(pair: Pair) -> None:
    pair.peer.receive(encode(Envelope(PreviewCredit(JOB, 5), 10)))
    pair.peer.attach(JOB)
    assert not pair.peer.wants_preview(JOB)
    pair.peer.receive(encode(Envelope(PreviewCredit(JOB, -5), 11)))
    assert not pair.peer.wants_preview(JOB)
    pair.peer.receive(encode(Envelope(PreviewCredit(JOB, 2**40), 12)))
    sent = 0
    for step in range(50):
        pair.peer.preview(replace(PREVIEW, step=step), PREVIEW_ARRAYS)
        sent += len(of(Preview, [envelope.message for envelope in pair.peer.take_outgoing()]))
    assert sent == limits.MAX_PREVIEW_CREDIT


# ---- job events -------------------------------------------------------------------------------------
def test_order_of_urgency_and_newest_progress(running: Pair) -> None:
    peer = running.peer
    peer.preview(PREVIEW, PREVIEW_ARRAYS)
    for step in (1, 2):
        peer.progress(JobProgress(JOB, "geometry", SUBJECT, step, 9, 1.0, 0.5))
    peer.status(JobStatus(JOB, "queued"))
    peer.status(JobStatus(JOB, "running"))
    kinds = [(type(envelope.message), getattr(envelope.message, "step", None)) for envelope in peer.take_outgoing()]
    assert kinds == [(JobStatus, None), (JobProgress, 2), (Preview, 1)]


def test_end_of_a_job_is_told_and_nothing_after_it(running: Pair) -> None:
    running.peer.preview(PREVIEW, PREVIEW_ARRAYS)
    running.peer.progress(JobProgress(JOB, "done", SUBJECT, 9, 9, 0.0, 0.5))
    running.peer.status(JobStatus(JOB, "finished"))
    running.peer.preview(PREVIEW, PREVIEW_ARRAYS)
    events = running.settle()
    assert [type(event) for event in events] == [JobChanged]
    assert running.peer.attached == frozenset()


def test_events_of_jobs_that_are_not_attached_go_nowhere(pair: Pair) -> None:
    pair.peer.status(JobStatus(JOB, "running"))
    pair.peer.progress(JobProgress(JOB, "geometry", SUBJECT, 1, 9, 1.0, 0.5))
    pair.peer.preview(PREVIEW, PREVIEW_ARRAYS)
    assert pair.peer.take_outgoing() == []


def test_progress_arrives(running: Pair) -> None:
    progress = JobProgress(JOB, "geometry", SUBJECT, 1, 9, 1.0, 0.5)
    running.peer.progress(progress)
    assert running.settle() == [JobProgressed(progress)]
    running.client.forget(JOB)
    running.peer.progress(progress)
    assert running.settle() == []


def test_slow_reader_gets_what_was_given_back_then_only_the_newest(running: Pair) -> None:
    peer = running.peer
    peer.progress(JobProgress(JOB, "geometry", SUBJECT, 0, 99, 1.0, 0.5))
    first = peer.take_outgoing()
    for step in range(1, 50):
        peer.give_back(first)
        peer.progress(JobProgress(JOB, "geometry", SUBJECT, step, 99, 1.0, 0.5))
        peer.status(JobStatus(JOB, "running", queue_position=step))
        assert peer.take_outgoing() == first
    status, progress = peer.take_outgoing()
    assert status.message == JobStatus(JOB, "running", queue_position=49)
    assert isinstance(progress.message, JobProgress)
    assert progress.message.step == 49
    assert [envelope.seq for envelope in (*first, status, progress)] == sorted({first[0].seq, status.seq, progress.seq})


def test_messages_in_the_wrong_direction_are_refused(pair: Pair) -> None:
    (protested,) = pair.client.receive(encode(Envelope(ListJobs(), 9)))
    assert isinstance(protested, Protested)
    (broke,) = pair.peer.receive(encode(Envelope(JobStatus(JOB, "running"), 9)))
    assert isinstance(broke, Broke)


def test_garbage_does_not_end_a_session(pair: Pair) -> None:
    assert of(Protested, pair.client.receive([b"garbage"]))
    assert of(Broke, pair.peer.receive([b"garbage"]))
    pair.client.list_jobs()
    assert of(Answered, pair.settle())


def test_late_answers_are_nobody_s(pair: Pair) -> None:
    assert pair.client.receive(encode(Envelope(BlobWanted("0" * 64, ()), 9, 1234))) == []
    (protested,) = pair.client.receive(encode(Envelope(Error("later_code", "late"), 10, 1234)))
    assert isinstance(protested, Protested)
    assert protested.error.code == ErrorCode.INTERNAL
