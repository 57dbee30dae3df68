"""Which secrets an event service accepts, and whether a client has proved that it has one."""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import TYPE_CHECKING, ClassVar, Final

from pyro_events._broker.snapshot.fields import Fields, Snapshotted
from pyro_events._protocol.decode_limits import LimitReached
from pyro_events.ident import parse_ident
from pyro_wire.challenge import NONCE_SIZE, VALID, Challenge, Greeting, matches, parse_greeting

if TYPE_CHECKING:
    from collections.abc import Callable

_REMEMBERED: Final = 50_000
"""Greetings; all connections may be made five times in a minute."""


Proven = tuple[str, str]
"""The name of the secret that a client has proved, and the hash of the secret."""


class WrongProof(LimitReached):
    """A proof that isn't right: it may be a guess."""

    def __init__(self, text: str) -> None:
        super().__init__("ident", text)


class Identification(Snapshotted):
    """Checks the proofs of clients. For the loop's thread.

    The nonces of greetings are kept in memory: a handover takes them along, and other restarts
    forget them.
    """

    SNAPSHOT: ClassVar = Fields("_used")
    TRANSIENT: ClassVar = ("required", "_keys", "_decoy", "_clock")  # of each process

    def __init__(self, ident: str | None, clock: Callable[[], float] = time.time) -> None:
        self._keys = _keys(ident)
        self.required = bool(self._keys)
        self._decoy = secrets.token_bytes(NONCE_SIZE)
        """A key that nobody has, in place of those of unknown names."""
        self._clock = clock
        self._used: dict[str, float] = {}
        """The nonces of greetings, and when those end to be valid; about in that order."""

    def replace(self, ident: str) -> set[str]:
        """Use other secrets from now on; return the names of those that aren't any more."""
        before, self._keys = self._keys, _keys(ident)
        return {name for name, key in before.items() if self._keys.get(name) != key}

    def proof_of(self, name: str) -> Proven:
        """Return what to remember of a client that has proved the secret of that name."""
        return name, sha256(self._key(name)).hexdigest()

    def has(self, name: str) -> bool:
        """Return whether there is a secret of that name."""
        return name in self._keys

    def knows(self, proven: Proven | None) -> bool:
        """Return whether the secret that a client has proved is still one."""
        if not self.required:
            return True
        return proven is not None and proven[0] in self._keys and self.proof_of(proven[0]) == proven

    def challenge(self, name: object, nonce: object, incarnation: str) -> tuple[Challenge, str]:
        """Return what a helper has to prove, and our own proof. Raises LimitReached."""
        if not isinstance(nonce, str) or not isinstance(name, str):
            raise LimitReached(
                "ident",
                "this event service requires an identification: "
                "give the helper ident=read_ident(FILE)",
            )
        begun = Challenge(name, nonce, secrets.token_hex(NONCE_SIZE), incarnation)
        return begun, begun.server_proof(self._key(name))

    def check_proof(self, begun: Challenge, proof: object) -> str:
        """Return the name of the secret that a helper has; raises WrongProof."""
        if not matches(proof, begun.client_proof(self._key(begun.name))):
            raise WrongProof("wrong identification")
        return begun.name

    def check_greeting(self, data: object, object_id: str, location: str) -> str:
        """Return the name of the secret that a stock proxy has. Raises LimitReached."""
        greeting = parse_greeting(data)
        if greeting is None:
            raise LimitReached(
                "ident",
                "this event service requires an identification, and never in clear: "
                "call pyro_events.identified(proxy, FILE) before the first call",
            )
        if not greeting.is_proof(self._key(greeting.name), object_id, location):
            raise WrongProof(
                f"wrong identification, or a greeting for another address than {location}"
            )
        self._check_new(greeting)
        return greeting.name

    def _key(self, name: str) -> bytes:
        return self._keys.get(name, self._decoy)

    def _check_new(self, greeting: Greeting) -> None:
        """Take a greeting with a right proof, once, in its time."""
        now = self._clock()
        early = greeting.time - now
        if not -VALID <= early <= VALID:  # a NaN is refused, too
            way = "ahead of" if early > 0 else "behind"
            raise LimitReached(
                "ident",
                f"the client's clock is {abs(early):.0f} s {way} that of the event service, which "
                f"accepts {VALID:.0f} s: set the clock, or greet sooner",
            )
        if greeting.nonce in self._used:
            raise LimitReached(
                "ident",
                "this greeting was used before: each connection needs a new one, as "
                "pyro_events.identified makes it",
            )
        self._forget(now)
        if len(self._used) >= _REMEMBERED:
            raise LimitReached("ident", "too many new connections in a minute: try again later")
        self._used[greeting.nonce] = greeting.time + VALID

    def _forget(self, now: float) -> None:
        while self._used:
            oldest = next(iter(self._used))
            if self._used[oldest] >= now:
                break
            del self._used[oldest]


def _keys(ident: str | None) -> dict[str, bytes]:
    return {each.name: each.key for each in parse_ident(ident)} if ident else {}
