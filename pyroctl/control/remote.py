"""The client of a manager on another host: JSON lines over TLS 1.3, blocking."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING, Any, Self

from pyroctl.control.protocol import MAX_LINE, Message, encode, parse_line, request
from pyroctl.errors import PyroctlError, Reported, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT = 10.0
"""Seconds for the connection, and for each answer; the other end sends signs of life."""
_WRONG_TIME = {9: "is not valid yet", 10: "has expired"}
_WRONG_HOST = frozenset({62, 64})
"""X509_V_ERR_… of x509_vfy.h, which `ssl` passes on as `verify_code`."""


class Unreachable(PyroctlError):
    """No manager answers there, or its certificate or ours is refused."""

    code = "unreachable"


class RemoteManager:
    """A connection for one request; every method raises Unreachable or another PyroctlError."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext) -> None:
        """Connect; the context decides whether the other end is verified."""
        self._address = f"{address[0]}:{address[1]}"
        with self._translated():
            sock = socket.create_connection(address, TIMEOUT)
            try:
                self._tls = context.wrap_socket(sock, server_hostname=address[0])
            except BaseException:
                sock.close()
                raise
        self._stream = self._tls.makefile("rb")

    @property
    def certificate(self) -> bytes:
        """The certificate of the other end, in DER."""
        return self._tls.getpeercert(binary_form=True) or b""

    def call(self, do: str, args: Message) -> Any:
        """Return the data of the reply to a request."""
        self.send(request(do, args))
        return self.reply()

    def send(self, message: Message) -> None:
        """Send a message."""
        with self._translated():
            self._tls.sendall(encode(message))

    def receive(self) -> Message:
        """Return the next message: an event or the reply."""
        with self._translated():
            line = self._stream.readline(MAX_LINE)
            if not line.endswith(b"\n"):
                raise ConnectionError("it has closed the connection")
            return parse_line(line)

    def event(self) -> Message:
        """Return the next event; raises Reported for an error that comes instead."""
        message = self.receive()
        if "event" in message:
            event: Message = message["event"]
            return event
        self._data(message)
        raise Unreachable(f"the manager at {self._address} doesn't follow the protocol")

    def reply(self) -> Any:
        """Return the data of the reply; raises Reported for an error."""
        while "reply" not in (message := self.receive()):
            pass
        return self._data(message)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._tls.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _data(self, message: Message) -> Any:
        reply = message.get("reply", {})
        if reply.get("errors"):
            raise Reported(reply["errors"], int(reply["exit_code"]))
        return reply.get("data")

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ssl.SSLError as error:
            raise _refused(error, self._address) from None
        except OSError as error:
            raise Unreachable(
                f"no manager answers at {self._address}: {describe(error)}",
                hint="it listens there with [manager.remote] in its configuration; is it running,"
                " and does a firewall let this host through?",
            ) from None


def client_context(ca: str, certificate: tuple[str, str] | None = None) -> ssl.SSLContext:
    """Return a context that trusts one CA, in PEM, and shows the certificate in these files."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=ca)
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return context


def unverified_context() -> ssl.SSLContext:
    """Return a context for what is verified otherwise."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _refused(error: ssl.SSLError, address: str) -> Unreachable:
    """Return why TLS has failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        it = f"the certificate of the manager at {address}"
        if error.verify_code in _WRONG_TIME:
            why = _WRONG_TIME[error.verify_code]
            return Unreachable(f"{it} {why}", hint="certs renew renews it, on the host with the CA")
        if error.verify_code in _WRONG_HOST:
            return Unreachable(
                f"{it} is for other hosts",
                hint="certs server makes one with this name or address, on the host with the CA",
            )
        return Unreachable(f"{it} is not from the CA of the site: {error.verify_message}")
    reason = str(error.reason or error)
    _, is_alert, alert = reason.partition("_ALERT_")
    words = (alert or reason).lower().replace("_", " ")
    if is_alert:
        return Unreachable(
            f"the manager at {address} refuses our certificate: {words}",
            hint="with a token this host gets a new one: certs token, on the host with the CA",
        )
    return Unreachable(f"{address} doesn't speak TLS as pyroctl does: {words}")
