"""Puts a backend together from its parts, and serves until a signal ends it."""

from __future__ import annotations

import ipaddress
import logging
import os
import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from maquette_protocol import limits
from maquette_protocol.auth import Connection, write_connection
from maquette_protocol.errors import ErrorCode, MaquetteError
from maquette_protocol.messages import Welcome
from maquette_protocol.version import MAJOR, MINOR

from ..workers.local import DEFAULT_ENTRY, SILENT_SECS, LocalExecutor
from .allocation import keep_freed_memory
from .blob_store import BlobStore, free_bytes_of
from .database import Database
from .desk import Desk
from .gateway import Gateway, Parts, Peers, Wake
from .holdings import Holdings
from .home import Home, open_home
from .housekeeping import tidy
from .intake import Intake
from .job_keeper import JobKeeper
from .journal import Journal
from .keys import ClientKeys, load_local_client_keys, load_server_keys
from .prior_list import PriorNames
from .scheduler import Scheduler
from .uploads import Uploads

LOCAL_CLIENT = "this computer"
"""Name of the key in the connection file; the same at every start, for it owns this user's jobs."""
LEASE_SECS = SILENT_SECS + 60.0
"""Longer than a local worker may be silent: the executor is the first to notice a loss."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServeOptions:
    """What the operator chooses."""

    home: Path | None = None
    endpoint: str = "tcp://127.0.0.1:0"
    connection_file: Path | None = None
    entry: str = DEFAULT_ENTRY
    """The function that does a job; tests of the supervision put another one here."""
    quota_bytes: int = 16 * 2**30
    after_commit: Callable[[], None] = lambda: None
    free_bytes: Callable[[Path], int] = free_bytes_of
    before_write: Callable[[], None] = lambda: None
    """Called on the disk's thread before each chunk; tests of slow and failing disks put theirs here."""


def serve(options: ServeOptions) -> None:
    """Run a backend until SIGTERM or SIGINT.

    Raises:
        MaquetteError: the endpoint may not be bound, or another backend has the home.
    """
    keep_freed_memory()
    home = open_home(options.home)
    clients = ClientKeys(home.keys)
    refuse_open_bind(options.endpoint, clients)
    database = Database(home.journal, options.after_commit)
    wake = Wake()
    gateway = Gateway(_parts(options, home, clients, database, wake))
    connection_file = options.connection_file or home.connection_file
    try:
        endpoint = gateway.bind(options.endpoint)
        _end_on_signals(gateway)
        _announce(connection_file, endpoint, home, clients)
        _LOG.info("listening on %s; connection file %s", endpoint, connection_file)
        gateway.run()
    finally:
        connection_file.unlink(missing_ok=True)
        database.close()
    _LOG.info("stopped")


def _parts(options: ServeOptions, home: Home, clients: ClientKeys, database: Database, wake: Wake) -> Parts:
    journal = Journal(database)
    holdings = Holdings(database, options.quota_bytes)
    store = BlobStore(home.blobs, options.free_bytes)
    executor = LocalExecutor(home.root, wake, options.entry)
    names = PriorNames(home.models)
    peers = Peers(lambda: _welcome(names, executor.device))
    jobs = JobKeeper(journal, holdings, Scheduler(LEASE_SECS), executor, peers, home.jobs)
    tidy(journal, holdings, store, jobs.blobs_in_use(), time.time())
    intake = Intake(home.blobs / "partial", options.before_write)
    desk = Desk(store, Uploads(store, intake, holdings, wake.call_soon), holdings, jobs, names, names.controls)
    return Parts(load_server_keys(home.keys), clients, peers, jobs, desk, wake)


def _welcome(names: PriorNames, device: str) -> Welcome:
    bounds = {"max_blob_bytes": limits.MAX_BLOB_BYTES, "max_triangles": limits.MAX_TRIANGLES}
    return Welcome(MAJOR, MINOR, "maquette-backend", names(), device, limits=bounds, controls=names.controls())


def _announce(path: Path, endpoint: str, home: Home, clients: ClientKeys) -> None:
    """Leave the key of this user's clients, enrolled, for them in the connection file."""
    keys = load_local_client_keys(home.keys)
    if not clients.admits(keys.public):
        clients.enrol(keys.public, LOCAL_CLIENT)
    server_public = load_server_keys(home.keys).public
    reachable = re.sub(r"//(0\.0\.0\.0|\[::\]):", "//127.0.0.1:", endpoint)
    write_connection(path, Connection(reachable, server_public, keys.public, keys.secret, os.getpid()))


def refuse_open_bind(endpoint: str, clients: ClientKeys) -> None:
    """Raises ``MaquetteError`` NOT_AUTHORISED for an endpoint off loopback while no client key is enrolled."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    enrolled = [name for name in clients.names().values() if name != LOCAL_CLIENT]
    if not loopback and not enrolled:
        raise MaquetteError(
            ErrorCode.NOT_AUTHORISED,
            f"{endpoint} can be reached from other machines, and no client key is enrolled.",
            "Enrol one first: python -m maquette_backend keys enrol PUBLICKEY --name NAME.",
        )


def _end_on_signals(gateway: Gateway) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        gateway.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
