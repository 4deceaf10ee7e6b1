"""An end to every transfer: a server that sends a byte a minute must not hold a program for ever."""

from __future__ import annotations

import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError


class Deadline:
    """Ends the connections of a session when a transfer takes too long.

    The timeouts of a socket are between two reads; a slow sender never meets them. Here the sockets are shut down from
    another thread, whatever is being read: names, handshake, headers or content.

    Attributes
    ----------
    end
        Moment of :func:`time.monotonic` at which time is up; may be moved while the transfer runs.
    """

    def __init__(self) -> None:
        self.end = float("inf")
        self._connections: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    @property
    def passed(self) -> bool:
        """Whether time is up."""
        return time.monotonic() >= self.end

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Give the transfer in this block so much time, which may be moved."""
        self.end = time.monotonic() + seconds
        done = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(done,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            done.set()
            self.end = float("inf")
            watcher.join()

    def _watch(self, done: threading.Event) -> None:
        while not done.wait(min(max(self.end - time.monotonic(), 0.05), 1.0)):
            if self.passed:
                for wire in [*self._sockets, *(connection.sock for connection in self._connections)]:
                    with suppress(OSError, AttributeError):  # closed already, or not open yet
                        wire.shutdown(socket.SHUT_RDWR)

    def connect(self, connection: HTTPConnection) -> None:
        """Note a connection that is about to be opened; refuse it when time is up."""
        if self.passed:
            raise NewConnectionError(connection, "it took too long")
        self._connections.add(connection)

    def connected(self, connection: HTTPConnection) -> None:
        """Note its socket, which the connection forgets while an answer is still being read."""
        if connection.sock is not None:
            self._sockets.add(connection.sock)


class BoundedAdapter(HTTPAdapter):
    """An adapter of requests whose connections obey a deadline."""

    def __init__(self, deadline: Deadline, **options: Any) -> None:
        self.deadline = deadline
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """As requests does, with connections that know the deadline."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools()

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        """As requests does, with connections that know the deadline."""
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = self._pools()
        return manager

    def _pools(self) -> dict[str, Any]:
        deadline = self.deadline

        class Plain(HTTPConnection):
            def connect(self) -> None:
                deadline.connect(self)
                super().connect()
                deadline.connected(self)

        class Secure(HTTPSConnection):
            def connect(self) -> None:
                deadline.connect(self)
                super().connect()
                deadline.connected(self)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}
