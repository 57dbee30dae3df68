"""The first words of clients, before they are accepted.

`pyro_wire.challenge` has the conversation in which a helper and the service identify themselves.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from Pyro5.errors import PyroError
from Pyro5.serializers import serializers_by_id

from pyro_events._protocol.capabilities import capabilities
from pyro_events._protocol.decode_limits import LimitReached, check_handshake
from pyro_events._protocol.event import HELPER_PROTOCOL
from pyro_wire import framing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyro_events._broker.identification import Identification
    from pyro_wire.challenge import Challenge
    from pyro_wire.framing import Frame


def greet_helper(
    identification: Identification, data: Mapping[str, Any], incarnation: str, version: str
) -> tuple[dict[str, object], Challenge | None]:
    """Return the answer to a helper's greeting, and what it has to prove, if anything.

    Raises PyroError or LimitReached.
    """
    _check_version(data)
    greeting: dict[str, object] = {
        "pyro_events": HELPER_PROTOCOL,
        "incarnation": incarnation,
        "version": version,
    }
    if "can" in data:
        greeting["can"] = sorted(capabilities(data))
    if not identification.required:
        return greeting, None
    begun, proof = identification.challenge(data.get("name"), data.get("nonce"), incarnation)
    return greeting | {"nonce": begun.server_nonce, "proof": proof}, begun


def decode_proof(frame: Frame) -> object:
    """Return the proof in the one call that a helper may make first; raises LimitReached."""
    if frame.type == framing.INVOKE and frame.serializer == framing.MSGPACK:
        with contextlib.suppress(Exception):  # whatever the serializer raises
            check_handshake(frame.serializer, frame.data)
            _, method, (proof,), _ = serializers_by_id[framing.MSGPACK].loadsCall(frame.data)
            if method == "authenticate":
                return proof
    raise LimitReached("ident", "prove the identification first: call authenticate")


def _check_version(greeting: Mapping[str, Any]) -> None:
    """Raise PyroError, which says what to do, for a helper of another version."""
    version = greeting["pyro_events"]
    if version == HELPER_PROTOCOL:
        return
    text = (
        f"this event service speaks version {HELPER_PROTOCOL} of the helpers' protocol, not "
        f"{version!r:.40}: install the same version of pyroctl for both"
    )
    if greeting.get("ident") is not None:
        text += "; make a new identification, too: this helper has sent the present one in clear"
    raise PyroError(text)
