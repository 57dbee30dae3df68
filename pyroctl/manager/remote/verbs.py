"""What other hosts may ask: to join with a token, to renew their certificate, and to control.

The protocol is that of the control channel, JSON lines over TLS. A host without a certificate may
ask for the CA's (`ca`), which it compares with its join string, and then `join` in a new connection
that it verifies:

    {"pyroctl": 1, "do": "join", "args": {"id": …, "nonce": …}}
    {"event": {"kind": "nonce", "nonce": …}}
    {"proof": …, "request": …}                   a certificate request in PEM
    {"reply": {"data": {"name": …, "site": …, "certificate": …, "ca": …}, …}}
"""

from __future__ import annotations

import asyncio
import logging
import os
from datetime import UTC, datetime
from functools import partial
from os.path import join
from typing import TYPE_CHECKING

from pyroctl.certs import signing
from pyroctl.certs.clients import parse_clients
from pyroctl.certs.files import CERT, CLIENTS, folder, parse, read
from pyroctl.certs.held import facts_of, has_ca_key
from pyroctl.certs.token_file import TokenFile
from pyroctl.certs.tokens import NONCE, JoinProof, Refusal
from pyroctl.control.protocol import MalformedMessage, Message, check_request, encode, parse_line
from pyroctl.control.server import answer
from pyroctl.errors import NotPermitted, PyroctlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyroctl.control.server import Handler, Progress
    from pyroctl.manager.remote.identity import Client, Identity

log = logging.getLogger(__name__)


class JoinRefused(PyroctlError):
    """A token can't be used."""

    code = "join-refused"


class RemoteVerbs:
    """Answers one request of a connection. `control` handles those of clients that are permitted.

    `permit` gets the name of a client and the verb, and raises NotPermitted.
    """

    def __init__(
        self, identity: Identity, control: Handler, permit: Callable[[str, str], None]
    ) -> None:
        self._identity = identity
        self._directory = identity.directory
        self._control = control
        self._permit = permit
        self._tokens = TokenFile(identity.directory)
        self._signing = asyncio.Lock()

    async def serve_stranger(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> Message | None:
        """Return the answer to a host without a certificate, None if it has left."""
        request = await _read(reader)
        do, args = check_request(request)
        if do == "ca":
            return {"ca": self._identity.ca, "time": datetime.now(UTC).isoformat()}
        if do == "join":
            return await self._join(args, reader, writer, peer)
        raise NotPermitted(
            f"{do!r} needs a certificate of this site", hint="pyroctl join STRING gets one"
        )

    async def serve_client(
        self, client: Client, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Message:
        """Return the reply to a client with a certificate."""
        do, args = check_request(await _read(reader))
        if do == "renew":
            return await answer(partial(self._renew, client), do, args, reader, writer)
        self._permit(client.name, do)
        return await answer(self._control, do, args, reader, writer)

    async def _join(
        self, args: Message, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: str
    ) -> Message:
        id_, theirs = str(args.get("id")), _bytes(args.get("nonce"))
        if not has_ca_key(self._directory):
            raise JoinRefused("this host doesn't have the key of the CA")
        if id_ not in self._tokens.read().tokens:
            raise JoinRefused("the token is unknown, or was used", hint=NEW_TOKEN)
        ours = os.urandom(NONCE)
        writer.write(encode({"event": {"kind": "nonce", "nonce": ours.hex()}}))
        said = await _read(reader)
        shown = JoinProof(id_, theirs, ours, _bytes(said.get("proof")))
        certificate = self._identity.certificate
        now = datetime.now(UTC)
        token = await asyncio.to_thread(self._tokens.redeem, shown, certificate, now)
        if isinstance(token, Refusal):
            raise JoinRefused(token.reason, hint=NEW_TOKEN)
        request = str(said.get("request"))
        async with self._signing:
            signed = await asyncio.to_thread(
                signing.sign_request, self._directory, request, token.name, token.hosts
            )
        log.info("%s has joined from %s", token.name, peer)
        site = parse(join(self._directory, CLIENTS), parse_clients).site
        return {"name": token.name, "site": site, **signed._asdict()}

    async def _renew(self, client: Client, _do: str, _args: Message, _send: Progress) -> Message:
        """Renew the client's certificate, unless that was done and the answer was lost."""
        file = join(folder(self._directory, client.name), CERT)
        if datetime.now(UTC) < facts_of(file).lifetime.renewal:
            data = {"certificate": read(file).decode(), "ca": self._identity.ca}
        else:
            async with self._signing:
                signed = await asyncio.to_thread(signing.renew, self._directory, client.name)
            log.info("the certificate of %s is renewed", client.name)
            data = signed._asdict()
        return {"data": data, "errors": [], "exit_code": 0}


NEW_TOKEN = "certs token makes another one, on the host with the CA"  # noqa: S105 - a sentence


async def _read(reader: asyncio.StreamReader) -> Message:
    """Return the next message."""
    try:
        return parse_line(await reader.readuntil(b"\n"))
    except asyncio.LimitOverrunError:
        raise MalformedMessage("the message is too long") from None
    except asyncio.IncompleteReadError:
        raise ConnectionAbortedError("it has left without a request") from None


def _bytes(value: object) -> bytes:
    try:
        found = bytes.fromhex(str(value))
    except ValueError:
        found = b""
    if len(found) != NONCE:
        raise MalformedMessage(f"expected {NONCE} bytes in hexadecimal digits")
    return found
