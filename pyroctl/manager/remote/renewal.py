"""Renews the certificates of this host in time, and warns of those that end.

On the host with the CA they are signed here; another host asks the one that it has joined, which
knows it by the certificate that is to be renewed. Services read the files again by themselves.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from os.path import join
from typing import TYPE_CHECKING, Any

from pyroctl.certs import renewal, signing
from pyroctl.certs.der import first_certificate, read_facts
from pyroctl.certs.files import CA, CERT, KEY, locked, read
from pyroctl.certs.held import Held, has_ca_key, held, used
from pyroctl.certs.lifetime import text
from pyroctl.certs.names import split_address
from pyroctl.certs.signing import Signed
from pyroctl.errors import PyroctlError, describe
from pyroctl.manager.wall_clock import WallClockTimer
from pyroctl.private_file import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pyroctl.certs.renewal import Attempts

    Announce = Callable[[str, dict[str, object]], None]

log = logging.getLogger(__name__)


class Renewal:
    """Renews and warns at the times that `certs.renewal` says. Lives in the event loop's thread.

    `announce` publishes a state and what it is about; `files` are those of services, which may be
    elsewhere: they are not renewed.
    """

    def __init__(
        self, directory: str, announce: Announce, files: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._directory = directory
        self._files = files
        self._announce = announce
        self._timer: WallClockTimer | None = None
        self._attempts: dict[str, Attempts] = {}
        self._errors: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._wrong: list[str] = []
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start: look at all certificates, and sleep until something is to be done."""
        self._timer = WallClockTimer(self.check)
        self.check()

    def check(self) -> None:
        """Look at all certificates now, for example because some may have been made."""
        if self._timer is not None and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._check())

    async def close(self) -> None:
        """Stop; a renewal that is under way is completed by its thread."""
        if self._timer is not None:
            self._timer.close()
            self._timer = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def status(self) -> list[dict[str, Any]]:
        """Return the certificates for JSON, with the error of those that can't be renewed."""
        now = datetime.now(UTC)
        try:
            found = held(self._directory)
        except (OSError, PyroctlError):
            found = []  # the log has it
        found += used(self._directory, self._files())[0]
        return [{**one.entry(now), "error": self._errors.get(one.name)} for one in found]

    async def _check(self) -> None:
        wrong = []
        try:
            found = held(self._directory)
        except (OSError, PyroctlError) as error:
            found = []
            wrong.append(f"certificates can't be renewed: {describe(error)}")
        for one in found:
            await self._renew_if_due(one)
        elsewhere, unreadable = used(self._directory, self._files())
        self._log_wrong([*wrong, *unreadable])
        found = [*(held(self._directory) if found else []), *elsewhere]
        for one in found:
            self._warn(one)
        now = datetime.now(UTC)
        lifetimes = {one.name: one.lifetime for one in found}
        when = renewal.next_time(lifetimes, self._attempts, now)
        if self._timer is not None:
            self._timer.set(min(when, now + renewal.LONGEST_SLEEP).timestamp())

    def _log_wrong(self, wrong: list[str]) -> None:
        """Log what is wrong with files, once."""
        for why in wrong:
            if why not in self._wrong:
                log.warning("%s", why)
        self._wrong = wrong

    async def _renew_if_due(self, one: Held) -> None:
        now = datetime.now(UTC)
        if one.address is None and not has_ca_key(self._directory):
            return  # its files were copied
        if not renewal.is_due(one.lifetime, now, self._attempts.get(one.name)):
            return
        try:
            end = await asyncio.to_thread(_renew, self._directory, one)
        except (OSError, PyroctlError, ValueError) as error:
            self._attempts[one.name] = renewal.Attempts.failed(self._attempts.get(one.name), now)
            self._errors[one.name] = why = describe(error)
            log.warning("the certificate %s can't be renewed: %s", one.name, why)
            self._publish("failed", one, why)
        else:
            self._attempts.pop(one.name, None)
            self._errors.pop(one.name, None)
            log.info("the certificate %s is renewed until %s", one.name, text(end))
            self._publish("renewed", one, None)

    def _warn(self, one: Held) -> None:
        now = datetime.now(UTC)
        state = renewal.state_of(one.lifetime, now)
        if state == self._states.get(one.name, "valid"):
            return
        self._states[one.name] = state
        if state == "valid":
            return
        verb = "expired" if state == "expired" else "expires"
        log.warning("the certificate %s %s on %s", one.name, verb, text(one.lifetime.end))
        self._publish(state, one, self._errors.get(one.name))

    def _publish(self, state: str, one: Held, reason: str | None) -> None:
        about: dict[str, object] = {
            "certificate": one.name,
            "expires": one.lifetime.end.isoformat(),
            "reason": reason,
        }
        self._announce(state, about)


def _renew(directory: str, one: Held) -> datetime:
    """Renew a certificate and store it; return its end. For a thread of its own."""
    if one.address is None:
        signed = signing.renew(directory, one.name)
        return read_facts(first_certificate(signed.certificate.encode())).lifetime.end
    signed = _ask(one)
    facts = read_facts(first_certificate(signed.certificate.encode()))
    if facts.fingerprint != one.facts.fingerprint or facts.lifetime.end <= one.lifetime.end:
        raise PyroctlError(f"{one.address} has sent a certificate that isn't a renewed one")
    with locked(directory):
        write_private(join(one.folder, CERT), signed.certificate.encode(), replace=True)
    return facts.lifetime.end


def _ask(one: Held) -> Signed:
    """Ask the host with the CA."""
    from pyroctl.control.remote import RemoteManager, client_context

    assert one.address is not None
    files = join(one.folder, CERT), join(one.folder, KEY)
    if datetime.now(UTC) >= one.lifetime.end:
        raise PyroctlError(
            f"it has expired, so {one.address} doesn't accept it any more",
            hint="with a token this host gets a new one: certs token, on the host with the CA",
        )
    context = client_context(read(join(one.folder, CA)).decode(), files)
    with RemoteManager(split_address(one.address), context) as manager:
        return Signed(**manager.call("renew", {}))
