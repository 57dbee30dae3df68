"""How a helper introduces itself to the event service, and both prove who they are.

`pyro_wire.challenge` has the conversation. The helper gives its proof only to a service that has
given a right one; without an identification there is nothing to prove, and no further call.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from pyro_events._client.calls import encode_call, outcome
from pyro_events._protocol.capabilities import OURS, capabilities
from pyro_events._protocol.event import HELPER_PROTOCOL
from pyro_events.errors import Refused
from pyro_events.ident import own_secret
from pyro_wire import framing
from pyro_wire.challenge import NONCE_SIZE, Challenge, matches

if TYPE_CHECKING:
    from collections.abc import Mapping

    from Pyro5.core import URI

    from pyro_events._client.connection import Connection
    from pyro_events.ident import Secret


class Welcome(NamedTuple):
    """The event service's answer to the handshake."""

    uri: str
    incarnation: str
    version: str
    can: frozenset[str] = frozenset()
    """What both can do; see `capabilities`."""
    local: str | None = None
    """The abstract name of its Unix socket for helpers on its machine, if it offers one."""


class Introduction:
    """What a helper says with each new connection.

    `wishes` is what else it tells the event service. Raises TypeError or ValueError for a bad
    `ident`.
    """

    def __init__(self, role: str, ident: str | None, wishes: Mapping[str, object]) -> None:
        self._secret = None if ident is None else own_secret(ident)
        self._hello = {"pyro_events": HELPER_PROTOCOL, "role": role, "can": OURS, **wishes}

    def perform(self, connection: Connection, uri: URI, deadline: float) -> Welcome:
        """Introduce ourselves over a new connection; both are identified when it returns.

        Raises Refused for the reason why one doesn't accept the other, ConnectionLost or TimedOut.
        """
        secret, nonce = self._secret, None
        hello = self._hello
        if secret is not None:
            nonce = secrets.token_hex(NONCE_SIZE)
            hello = {**hello, "name": secret.name, "nonce": nonce}
        try:
            answer = connection.handshake(uri.object, hello, framing.MSGPACK, deadline)
        except Refused as error:
            raise _explained(error, secret) from None
        if not isinstance(answer, dict) or answer.get("pyro_events") != HELPER_PROTOCOL:
            raise Refused(f"is not an event service with protocol version {HELPER_PROTOCOL}")
        incarnation, version = str(answer.get("incarnation")), str(answer.get("version"))
        local = answer.get("local")
        welcome = Welcome(
            str(uri),
            incarnation,
            version,
            capabilities(answer),
            local if isinstance(local, str) else None,
        )
        if secret is not None and nonce is not None:
            begun = _challenge(secret, nonce, answer, welcome.incarnation)
            proof = begun.client_proof(secret.key)
            connection.write(encode_call(0, uri.object, "authenticate", [proof]))
            _, refusal = outcome(connection.next_frame(deadline))
            if refusal is not None:
                raise Refused(f"refused: {refusal}")
        return welcome


def _challenge(
    secret: Secret, nonce: str, answer: Mapping[str, Any], incarnation: str
) -> Challenge:
    """Return what we have to prove, after the event service has; raises Refused."""
    if "proof" not in answer:
        raise Refused(
            "has no identification, so it can't prove to be the one that is meant: "
            "set its ident_file, or connect without ident"
        )
    begun = Challenge(secret.name, nonce, str(answer.get("nonce")), incarnation)
    if not matches(answer["proof"], begun.server_proof(secret.key)):
        known = f"the secret of {secret.name}" if secret.name else "this identification"
        raise Refused(
            f"does not prove that it has {known}: the identification here or there is wrong, "
            "or it is a false event service; it was told nothing"
        )
    return begun


def _explained(refusal: Refused, secret: Secret | None) -> Refused:
    """Return the refusal, and what to do if it is that of an older event service."""
    if secret is not None and str(refusal) == "refused: wrong identification":
        return Refused(
            "refused: it is of an older version and expects the identification in clear: "
            "install the same version of pyroctl for both"
        )
    return refusal
