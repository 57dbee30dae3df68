"""The host of a Pyro object as a process, with the manager's ends of the child protocol."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from Pyro5.client import Proxy

HERE = Path(__file__).parent
WAIT = 20.0
BECOME = "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class Hosted:
    """A host with the manager's ends of the child protocol."""

    def __init__(self, target, *argv, env=None, listener=None, path=HERE):
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = f"\0pyroctl-test-{os.getpid()}-{time.monotonic_ns()}"
        self.notify.bind(address)
        self.notify.settimeout(WAIT)
        self.control, end = socket.socketpair()
        self.control.settimeout(WAIT)
        command = [sys.executable, "-P", "-m", "pyro_host", target, "--path", str(path), *argv]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("PYRO_")}
        environ |= {"NOTIFY_SOCKET": "@" + address[1:], "PYROCTL_CONTROL_FD": str(end.fileno())}
        fds = [end.fileno()]
        if listener is not None:
            environ |= {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "pyroctl"}
            fds.append(listener.fileno())
            move = f"import os, sys; os.dup2({listener.fileno()}, 3); "
            command = [sys.executable, "-c", move + BECOME, *command]
            if end.fileno() == 3:
                raise AssertionError("descriptor 3 is needed for the listener")
        with end:
            self.process = subprocess.Popen(
                command,
                cwd="/",
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=fds,
                env={**environ, **(env or {})},
            )

    def ready(self):
        """Wait until it says ready; give the URI."""
        fields = dict(line.split("=", 1) for line in self.notify.recv(4096).decode().split("\n"))
        assert fields["READY"] == "1"
        self.uri = fields["X_PYRO_URI"]
        self.status = fields["STATUS"]
        return self.uri

    def proxy(self):
        proxy = Proxy(self.uri)
        proxy._pyroTimeout = WAIT
        return proxy

    def ask(self, ask, **parameters):
        self.control.sendall(json.dumps({"id": 1, "ask": ask, **parameters}).encode() + b"\n")
        data = b""
        while not data.endswith(b"\n"):
            received = self.control.recv(1 << 16)
            assert received, "hung up"
            data += received
        return json.loads(data)

    def stop(self, number=signal.SIGTERM):
        """Stop it; give exit code and what it said on stderr."""
        self.process.send_signal(number)
        return self.end()

    def end(self):
        _, errors = self.process.communicate(timeout=WAIT)
        return self.process.returncode, errors

    def close(self):
        self.control.close()
        self.notify.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


@pytest.fixture
def host():
    with contextlib.ExitStack() as stack:

        def start(target, *argv, **options):
            hosted = Hosted(target, *argv, **options)
            stack.callback(hosted.close)
            return hosted

        yield start


@pytest.fixture
def names():
    """A name server's `HOST:PORT`, and a proxy of it."""
    command = [sys.executable, "-m", "pyro_names", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            uri = process.stdout.readline().strip()
            with Proxy(uri) as proxy:
                proxy._pyroTimeout = WAIT
                yield uri.rpartition("@")[2], proxy
        finally:
            process.kill()
