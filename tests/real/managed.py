"""One of our services as a process, with the manager's ends of the child protocol."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time

from Pyro5.client import Proxy

WAIT = 20.0


class Managed:
    """A process that reports readiness and answers questions; `close` ends it."""

    def __init__(self, command, directory, env=None, fds=()):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"\0pyroctl-test-{os.getpid()}-{time.monotonic_ns()}"
        self.notify.bind(address)
        self.notify.settimeout(WAIT)
        self.control, end = socket.socketpair()
        self.control.settimeout(WAIT)
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYRO_")}
        environ |= {"NOTIFY_SOCKET": "@" + address[1:], "PYROCTL_CONTROL_FD": str(end.fileno())}
        if fds and end.fileno() == 3:
            raise AssertionError("descriptor 3 is needed for the listener")
        with end:
            self.process = subprocess.Popen(
                command,
                cwd=directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=[end.fileno(), *fds],
                env={**environ, **(env or {})},
            )

    def ready(self, *, watch=True):
        """Wait until it is ready; returns the URI. A name server is watched as by a manager."""
        fields = dict(line.split("=", 1) for line in self.notify.recv(4096).decode().split("\n"))
        assert fields["READY"] == "1"
        self.uri = fields["X_PYRO_URI"]
        self.status = fields.get("STATUS")
        if watch and "Pyro.NameServer" in self.uri:
            self.ask("watch")  # clients may change names from now on
        return self.uri

    def proxy(self):
        proxy = Proxy(self.uri)
        proxy._pyroTimeout = WAIT
        return proxy

    def ask(self, ask, **parameters):
        self.control.sendall(json.dumps({"id": 1, "ask": ask, **parameters}).encode() + b"\n")
        data = b""
        while True:
            received = self.control.recv(1 << 16)
            assert received, "hung up"
            data += received
            for line in data.split(b"\n")[:-1]:
                if "id" in (answer := json.loads(line)):
                    return answer

    def close(self):
        self.control.close()
        self.notify.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
