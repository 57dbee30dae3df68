"""Waits for a name in a separate process, since the manager doesn't import Pyro5."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

from pyroctl.kinds import tls_variables
from pyroctl.manager.process.pidfd import ProcessWatch
from pyroctl.manager.process.spawn import FOLLOW, SHIM

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.core.spec import NameReady
    from pyroctl.kinds import LaunchContext

FOREVER = "86400"
"""Seconds that the process tries; `start_timeout` ends it sooner."""
READ_SIZE = 1 << 16


class NameProbe:
    """Calls `on_found` once, with the object's URI. Lives in the event loop's thread."""

    def __init__(
        self, ready: NameReady, on_found: Callable[[str], None], context: LaunchContext
    ) -> None:
        self._on_found = on_found
        self.found = f"the name server at {ready.ns} has not been asked yet"
        """What was found last."""
        where = ("--ns", ready.ns) if ready.ns else ()
        self._process = subprocess.Popen(
            [
                *(*SHIM, FOLLOW.format(os.getpid()), "--", context.python, "-m", "pyro_names.wait"),
                *(ready.pyro_name, *where, "--timeout", FOREVER, "--report"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**context.environ, **self._tls(ready, context)},
        )
        assert self._process.stdout is not None
        self._output = self._process.stdout
        self._unfinished = b""
        os.set_blocking(self._output.fileno(), False)
        asyncio.get_running_loop().add_reader(self._output, self._read)
        self._watch = ProcessWatch(self._process.pid, self._ended)

    @staticmethod
    def _tls(ready: NameReady, context: LaunchContext) -> dict[str, str]:
        if context.ns_tls is None or ready.ns != context.ns:
            return {}
        return {"PYROCTL_CERTS": context.certs, **dict(tls_variables(context.ns_tls))}

    def _read(self) -> None:
        """Take the last line that is complete."""
        data = self._output.read(READ_SIZE)
        if data == b"":
            asyncio.get_running_loop().remove_reader(self._output)
        elif data:
            *lines, self._unfinished = (self._unfinished + data).split(b"\n")
            if lines:
                self.found = lines[-1].decode(errors="replace")

    def _ended(self) -> None:
        self._read()
        if self._process.wait() == 0:
            self._on_found(self.found)

    def cancel(self) -> None:
        """Stop waiting."""
        self._watch.cancel()
        self._process.kill()
        self._process.wait()
        if not self._output.closed:
            asyncio.get_running_loop().remove_reader(self._output)
            self._output.close()
