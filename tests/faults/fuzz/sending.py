"""Sends mutated bytes to a process, and checks that it has come to no harm."""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.faults.fault import NotSurvived
from tests.harness import is_alive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

BYTES = 600_000
"""For one injection of a fault."""
FEW_BYTES = 50_000
"""The same where each connection needs a pause, or takes long."""
_AT_ONCE = 1500
"""Bytes for one connection."""
_GROWTH = 40 << 20
_ADDRESSES = 250


def pieces(make: Callable[[Random], bytes], chance: Random, total: int) -> Iterator[bytes]:
    """Yield what one connection sends after the other, as many bytes as asked for in all."""
    while total > 0:
        piece = b""
        while len(piece) < min(_AT_ONCE, total):
            piece += make(chance)
        total -= len(piece)
        yield piece


def send(sock: socket.socket, data: bytes) -> None:
    """Send, and read what is answered, until the peer has had enough."""
    sock.settimeout(5.0)
    with sock, contextlib.suppress(OSError):
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(1 << 16):
            pass


def peak(pid: int) -> int:
    """Return the most memory that the process ever had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


@contextlib.contextmanager
def unharmed(pid: int) -> Iterator[None]:
    """Check that the process outlives the context, and has neither grown nor kept descriptors."""
    before, files = peak(pid), len(list(Path(f"/proc/{pid}/fd").iterdir()))
    yield
    if not is_alive(pid):
        raise NotSurvived("the process has ended")
    if (grown := peak(pid) - before) > _GROWTH:
        raise NotSurvived(f"it has grown by {grown >> 20} MiB")
    end = time.monotonic() + 20
    while (now := len(list(Path(f"/proc/{pid}/fd").iterdir()))) > files + 2:
        if time.monotonic() > end:
            raise NotSurvived(f"it has {now} descriptors, {files} before")
        time.sleep(0.05)


def stranger(port: int, chance: Random, timeout: float = 5.0) -> socket.socket:
    """Connect from one of many addresses, so that what slows down one of them slows down little."""
    source = ".".join(["127", *(str(chance.randrange(1, _ADDRESSES)) for _ in range(3))])
    return socket.create_connection(("127.0.0.1", port), timeout, (source, 0))
