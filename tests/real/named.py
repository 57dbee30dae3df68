"""A program that serves Pyro objects: python named.py [--safe] [--crash] [--unix] NAME..."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

import Pyro5.api


@Pyro5.api.expose
class Thing:
    """What clients call."""

    def pid(self) -> int:
        """Return the process."""
        return os.getpid()

    def change(self, method: str, *args: object) -> None:
        """Change something in the name server, as a service may."""
        with Pyro5.api.locate_ns() as ns:
            getattr(ns, method)(*args)


def main(words: list[str]) -> None:
    """Register each name with an object and metadata of its own, and serve."""
    names = [word for word in words if not word.startswith("--")]
    if "--unix" in words:
        with contextlib.suppress(FileNotFoundError):
            os.unlink("named.sock")  # noqa: PTH108 - as Pyro5 takes it
    daemon = Pyro5.api.Daemon(unixsocket="./named.sock" if "--unix" in words else None)
    with Pyro5.api.locate_ns() as ns:
        for name in names:
            uri = daemon.register(Thing())
            ns.register(name, uri, safe="--safe" in words, metadata={"of " + name, "thing"})
            print(f"{name}: uri = {uri}", flush=True)
    if "--crash" in words:
        os._exit(3)
    if address := os.environ.get("NOTIFY_SOCKET"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"READY=1", address)
    daemon.requestLoop()


if __name__ == "__main__":
    main(sys.argv[1:])
