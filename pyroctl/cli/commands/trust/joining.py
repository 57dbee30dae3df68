"""How a host joins a site: from the join string to the files in its directory."""

from __future__ import annotations

import contextlib
import hmac
import os
from datetime import UTC, datetime, timedelta
from os.path import join
from typing import TYPE_CHECKING, Any, NamedTuple

from pyroctl.certs import authority
from pyroctl.certs.files import CA, CERT, JOINED, KEY, folder, locked, write_folder
from pyroctl.certs.held import has_ca_key, joined_toml
from pyroctl.certs.lifetime import text
from pyroctl.certs.names import checked_name, split_address
from pyroctl.certs.tokens import NONCE, proof
from pyroctl.control.protocol import request
from pyroctl.control.remote import RemoteManager, client_context, unverified_context
from pyroctl.directories import make_private
from pyroctl.errors import PyroctlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyroctl.certs.authority import Certificate
    from pyroctl.certs.tokens import JoinString

MOST_APART = timedelta(minutes=5)
"""Between two clocks that are set."""


class Joined(NamedTuple):
    """What a host has got."""

    site: str
    certificate: Certificate
    folder: str


def join_site(string: JoinString, directory: str) -> Joined:
    """Get a certificate with a token, and store it; raises PyroctlError, and then stores nothing.

    An earlier certificate of the same name is replaced.
    """
    if has_ca_key(directory):
        raise PyroctlError(
            f"{directory} has a CA of its own",
            hint="pyroctl certs server or client makes its certificates; another --root can join",
        )
    with _prepared(directory):
        ca = _fetch_ca(string)
        key, _ = authority.new_key()
        found = _redeem(string, ca, key)
        name, issued = checked_name(found["name"]), found["certificate"].encode()
        certificate = authority.read_certificate(issued)
        if not authority.issued_by(certificate, ca.encode()):
            raise PyroctlError("the certificate that has arrived is not from the CA of the site")
        content = {CERT: issued, CA: ca.encode(), KEY: key}
        content[JOINED] = joined_toml(string.address, found["site"])
        with locked(directory):
            write_folder(folder(directory, name), content)
    return Joined(found["site"], certificate, folder(directory, name))


@contextlib.contextmanager
def _prepared(directory: str) -> Iterator[None]:
    """Make the directories before the token is used; remove them if they stay empty."""
    issued = join(directory, "issued")
    make_private(directory)
    make_private(issued)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(issued)
            os.rmdir(directory)


def _fetch_ca(string: JoinString) -> str:
    """Return the CA's certificate, which has the key that the string names."""
    with RemoteManager(split_address(string.address), unverified_context()) as manager:
        found = manager.call("ca", {})
    ca: str = found["ca"]
    try:
        fingerprint = authority.read_certificate(ca.encode()).fingerprint
    except authority.UnusableError as error:
        raise PyroctlError(f"what {string.address} calls its CA {error}") from None
    if not hmac.compare_digest(fingerprint, string.ca):
        raise PyroctlError(
            f"the CA of {string.address} is not the one in the join string"
            f" ({fingerprint[:16]}…, and not {string.ca[:16]}…), so nothing was sent there",
            hint="the CA was replaced since (make another token), or another host answers there",
        )
    _check_clock(datetime.fromisoformat(found["time"]), datetime.now(UTC))
    return ca


def _check_clock(theirs: datetime, ours: datetime) -> None:
    if abs(theirs - ours) > MOST_APART:
        raise PyroctlError(
            f"the clock here shows {text(ours)}, that of the other host {text(theirs)}",
            hint="set the wrong one, for example with NTP: certificates are valid by the clock",
        )


def _redeem(string: JoinString, ca: str, key: bytes) -> dict[str, Any]:
    """Prove to have the secret; return what the manager has answered."""
    with RemoteManager(split_address(string.address), client_context(ca)) as manager:
        ours = os.urandom(NONCE)
        manager.send(request("join", {"id": string.id, "nonce": ours.hex()}))
        theirs = bytes.fromhex(manager.event()["nonce"])
        shown = proof(string.secret, ours, theirs, manager.certificate)
        csr = authority.make_request(key, "joining")
        manager.send({"proof": shown.hex(), "request": csr.decode()})
        found: dict[str, Any] = manager.reply()
    return found
