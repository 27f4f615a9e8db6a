"""A training that the workers of several machines share: host 0's leads, the others follow.

The one that leads is told a task and does it as ever, with sessions that are made on every host.
"""

from __future__ import annotations

import os
import queue
import socket
import struct
import threading
import time
from contextlib import suppress
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from typing import Callable, NamedTuple, Optional

from backends.api import Backend, Device, Hosts, Session, Workload
from backends.native import Defaults
from bench.worker.parallel import Company, Follower, LeadSession, Message, obey
from bench.worker.protocol import Seat

# The slowest machine may import its framework from a cold disk.
_MEET_SECONDS = 120.0
_TRY_AGAIN_SECONDS = 0.1
_GREET_SECONDS = 5
# What a follower that is in an exchange with a lead that is gone is given to see it.
_GRACE_SECONDS = 2.0


class MeetingError(RuntimeError):
    """The workers of the hosts do not find one another: says which was missed, and where."""


class _Joined(Backend):
    """A backend that has met those of the other hosts: what it tells is of this host."""

    def __init__(self, own: Backend, seat: Seat) -> None:
        """Meet them by the framework's own means."""
        self._own = own
        self.recipe = own.recipe
        own.join(Hosts(seat.host, seat.addresses))

    def versions(self) -> dict[str, str]:
        """See `Backend.versions`."""
        return self._own.versions()

    def devices(self) -> list[Device]:
        """See `Backend.devices`."""
        return self._own.devices()

    def native_defaults(self, seed: int) -> Optional[Defaults]:
        """See `Backend.native_defaults`."""
        return self._own.native_defaults(seed)

    def is_out_of_memory(self, error: Exception) -> bool:
        """See `Backend.is_out_of_memory`."""
        return self._own.is_out_of_memory(error)

    def session(self, workload: Workload) -> Session:
        """Make a session; the joined backend checks what is supported."""
        return self._session(workload)

    def _session(self, workload: Workload) -> Session:
        return self._own.session(workload)


class LeadingBackend(_Joined):
    """The backend of host 0, whose sessions are made on every host."""

    def __init__(self, own: Backend, seat: Seat) -> None:
        """Wait for the others.

        Raises:
            MeetingError: one does not come.
            backends.api.Unsupported: the framework shares no training between machines.
        """
        self._company = Company(_arrived(seat))
        self._company.guarded(lambda: super(LeadingBackend, self).__init__(own, seat))

    def _session(self, workload: Workload) -> Session:
        return LeadSession(workload, self._company, self._own.session)


class FollowingBackend(_Joined):
    """The backend of another host."""

    def __init__(self, own: Backend, seat: Seat) -> None:
        """Go to host 0.

        Raises:
            MeetingError: it is not there.
            backends.api.Unsupported: the framework shares no training between machines.
        """
        self._messages = _connected(seat)
        self._receive = _inbox(self._messages)
        super().__init__(own, seat)

    def follow(self) -> None:
        """Do what host 0 says until it ends."""
        obey(self._receive, self._messages.send, self.session)


def seated(backend: Backend, seat: Seat) -> Backend:
    """The backend once the workers of all hosts have met."""
    return LeadingBackend(backend, seat) if seat.host == 0 else FollowingBackend(backend, seat)


class _Arrival(NamedTuple):
    """The first word of each other host.

    Attributes:
        host: which one.
        problem: why it cannot come; empty where it does.
    """

    host: int
    problem: str = ""


def _arrived(seat: Seat) -> list[Follower]:
    """The workers of the other hosts, in their order, once all have come."""
    hosts = len(seat.addresses)
    found: dict[int, Connection] = {}
    deadline = time.monotonic() + _MEET_SECONDS
    with socket.create_server(_parts(seat.meeting), backlog=hosts) as server:
        while len(found) < hosts - 1:
            server.settimeout(max(_TRY_AGAIN_SECONDS, deadline - time.monotonic()))
            try:
                peer, _ = server.accept()
            except OSError as error:
                missed = ", ".join(str(host) for host in range(1, hosts) if host not in found)
                raise MeetingError(
                    f"host {missed} of {hosts} did not come to {seat.meeting} within "
                    f"{_MEET_SECONDS:g} s: {error}"
                ) from error
            connection = _greeted(peer, seat.key)
            if connection is not None:
                arrival = _Arrival(*connection.recv())
                if arrival.problem:
                    raise MeetingError(f"host {arrival.host} of {hosts}: {arrival.problem}")
                found[arrival.host] = connection
    return [Follower(f"host {host} of {hosts}", found[host]) for host in sorted(found)]


def _greeted(peer: socket.socket, key: str) -> Optional[Connection]:
    """A connection to one that has the key; None to anybody else, one that says nothing too."""
    with peer:
        peer.settimeout(None)
        connection = Connection(os.dup(peer.fileno()))
        try:
            _read_within(peer, _GREET_SECONDS)
            deliver_challenge(connection, bytes.fromhex(key))
            answer_challenge(connection, bytes.fromhex(key))
            _read_within(peer, 0)
        except (AuthenticationError, EOFError, OSError):
            connection.close()
            return None
    return connection


def _read_within(peer: socket.socket, seconds: int) -> None:
    """Have the kernel break off what waits so long for the peer; 0 is for ever."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", seconds, 0))


def _connected(seat: Seat, problem: str = "", is_over: Callable[[], bool] = bool) -> Connection:
    """A connection to host 0, once it listens.

    Args:
        seat: of this worker.
        problem: why it does not come, where somebody else says so in its place.
        is_over: whether host 0 is not waited for any more.

    Raises:
        MeetingError: nothing answers.
    """
    deadline = time.monotonic() + _MEET_SECONDS
    while True:
        try:
            peer = socket.create_connection(_parts(seat.meeting), _MEET_SECONDS)
            break
        except OSError as error:
            if is_over() or time.monotonic() > deadline:
                raise MeetingError(f"nothing answers at {seat.meeting}: {error}") from error
            time.sleep(_TRY_AGAIN_SECONDS)
    peer.settimeout(None)
    connection = Connection(peer.detach())
    answer_challenge(connection, bytes.fromhex(seat.key))
    deliver_challenge(connection, bytes.fromhex(seat.key))
    connection.send(tuple(_Arrival(seat.host, problem)))
    return connection


def decline(seat: Seat, problem: str, is_over: Callable[[], bool]) -> None:
    """Tell host 0 that this host's worker does not come, so that it is not waited for.

    Args:
        seat: of the worker.
        problem: what is wrong with it.
        is_over: whether host 0 has ended by itself, which ends this too.
    """
    with suppress(MeetingError, AuthenticationError, EOFError, OSError):
        _connected(seat, problem, is_over).close()


def _inbox(messages: Connection) -> Callable[[], Message]:
    """What gives the next message, read in a thread that sees at once when the lead is gone.

    A framework can wait in an exchange for minutes for one that will not come again.
    """
    received: queue.SimpleQueue[Optional[Message]] = queue.SimpleQueue()

    def read() -> None:
        with suppress(EOFError, OSError):
            while True:
                received.put(messages.recv())
        received.put(None)
        time.sleep(_GRACE_SECONDS)
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()

    def receive() -> Message:
        message = received.get()
        if message is None:
            raise EOFError
        return message

    return receive


def _parts(address: str) -> tuple[str, int]:
    name, _, port = address.rpartition(":")
    return name, int(port)
