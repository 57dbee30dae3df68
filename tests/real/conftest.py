"""The host of a Pyro object, and a name server, as processes."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from Pyro5.client import Proxy

from tests.real.managed import WAIT, Managed

HERE = Path(__file__).parent
BECOME = "os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class Hosted(Managed):
    """A host of an object with the manager's ends of the child protocol."""

    def __init__(self, target, *argv, env=None, listener=None, path=HERE):
        command = [sys.executable, "-P", "-m", "pyro_host", target, "--path", str(path), *argv]
        options = {}
        if listener is not None:
            options = {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "pyroctl"}
            fd = listener.fileno()
            move = f"import os, sys; os.dup2({fd}, 3); {fd} != 3 and os.close({fd}); "
            command = [sys.executable, "-c", move + BECOME, *command]
        fds = [listener.fileno()] if listener is not None else []
        super().__init__(command, "/", {**options, **(env or {})}, fds)

    def stop(self, number=signal.SIGTERM):
        """Stop it; returns the exit code and stderr."""
        self.process.send_signal(number)
        return self.end()

    def end(self):
        _, errors = self.process.communicate(timeout=WAIT)
        return self.process.returncode, errors


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
            assert process.stdout is not None
            uri = process.stdout.readline().strip()
            with Proxy(uri) as proxy:
                proxy._pyroTimeout = WAIT
                yield uri.rpartition("@")[2], proxy
        finally:
            process.kill()
