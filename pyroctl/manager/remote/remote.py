"""`[manager.remote]`: opens the listener that the configuration asks for, and reports its state."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from pyroctl.certs.names import checked_name, split_address
from pyroctl.errors import PyroctlError, describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.control.server import Handler
    from pyroctl.core.spec import RemoteSpec
    from pyroctl.manager.remote.listener import RemoteListener

log = logging.getLogger(__name__)


class Remote:
    """The listener for other hosts, if there is one. Lives in the event loop's thread."""

    def __init__(
        self, directory: str, control: Handler, permit: Callable[[str, str], None]
    ) -> None:
        self._directory = directory
        self._control = control
        self._permit = permit
        self._spec: RemoteSpec | None = None
        self._listener: RemoteListener | None = None
        self._error: str | None = None
        self._applying = asyncio.Lock()

    async def apply(self, spec: RemoteSpec | None) -> None:
        """Listen as this says, from now on. A failure is logged and shown, and stops nothing."""
        async with self._applying:
            if spec != self._spec or self._error is not None:
                await self.close()
                self._spec = spec
                if spec is not None:
                    await self._try_to_open(spec)

    async def _try_to_open(self, spec: RemoteSpec) -> None:
        try:
            await self._open(spec)
        except (OSError, PyroctlError, ValueError) as error:
            self._error = f"can't listen on {spec.listen}: {describe(error)}"
            log.error("remote: %s", self._error)  # noqa: TRY400 - a user's mistake has no traceback

    async def _open(self, spec: RemoteSpec) -> None:
        from pyroctl.manager.remote.identity import Identity
        from pyroctl.manager.remote.listener import RemoteListener
        from pyroctl.manager.remote.verbs import RemoteVerbs

        host, port = split_address(spec.listen)
        identity = Identity(self._directory, checked_name(spec.name or host))
        listener = RemoteListener(identity, RemoteVerbs(identity, self._control, self._permit))
        await listener.open(host, port)
        self._listener = listener
        log.info("remote: listening on port %d of %s", listener.port, host)

    async def close(self) -> None:
        """Stop listening."""
        self._error = None
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    def status(self) -> dict[str, Any] | None:
        """Return the state for JSON; None if there is no `[manager.remote]`."""
        if self._spec is None:
            return None
        host, _ = split_address(self._spec.listen)
        listener = self._listener
        return {
            "listen": self._spec.listen,
            "port": listener.port if listener else None,
            "name": self._spec.name or host,
            "connections": listener.connections if listener else 0,
            "refused": listener.refused if listener else 0,
            "error": self._error,
        }
