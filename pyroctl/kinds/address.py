"""Where a service listens, when the manager holds its listening socket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A TCP port on a host name or address; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"port {self.port} on {self.host}"


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket: its absolute path, and the permissions that it gets."""

    path: str
    mode: int = 0o600

    def __str__(self) -> str:
        return self.path


ListenAddress = TcpAddress | UnixAddress
