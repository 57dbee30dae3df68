"""The proofs of a secret, and what an event service makes of them."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

import pytest

from pyro_events._broker import identification
from pyro_events._broker.identification import Identification, WrongProof
from pyro_events._protocol.decode_limits import LimitReached
from pyro_wire.challenge import Challenge, location, make_greeting, parse_greeting

KEY = b"0123456789abcdef0123456789abcdef"
IDENT = KEY.decode()
HERE = "[127.0.0.1]:9099"
NOW = 1_800_000_000.0


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def greeting(nonce: str = "n", *, key: bytes = KEY, now: float = NOW, **others: str) -> str:
    return make_greeting(
        key,
        others.get("name", ""),
        now=now,
        nonce=nonce,
        object_id=others.get("object_id", "es"),
        location=others.get("location", HERE),
    )


def test_proofs_are_those_of_the_documentation() -> None:
    """HMAC-SHA256 over texts with their lengths; the known answers pin the protocol."""
    begun = Challenge("camera-2", "a" * 64, "b" * 64, "incarnation")
    texts = [b"pyro_events server", b"camera-2", b"a" * 64, b"b" * 64, b"incarnation"]
    message = b"".join(len(text).to_bytes(4, "big") + text for text in texts)
    assert begun.server_proof(KEY) == hmac.new(KEY, message, hashlib.sha256).hexdigest()
    assert begun.server_proof(KEY) == SERVER
    assert begun.client_proof(KEY) == CLIENT
    assert greeting(name="camera-2") == f"v1:1800000000.000:n:{GREETING}:camera-2"


SERVER = "74de9990d5cdd94e1998135e140066d332705b4c8ffd920103e237923f3e5ac9"
CLIENT = "a73f7d100e1efe0a83a8ba9086116af745b3d9f73591e4cbeabbf02b3edca01a"
GREETING = "35921ba4cce3f92c95ad9b1a84ea4ff67423bd3301c2d0025a2bb83137853eba"


@pytest.mark.parametrize("field", Challenge._fields)
def test_a_proof_is_for_one_conversation(field: str) -> None:
    """It changes with each text, and with the border between them."""
    begun = Challenge("name", "client", "server", "incarnation")
    other = begun._replace(**{field: "other"})
    assert begun.server_proof(KEY) != other.server_proof(KEY)
    assert begun.client_proof(KEY) != other.client_proof(KEY)
    begun = Challenge("name", "AB", "server", "incarnation")
    moved = Challenge("nameA", "B", "server", "incarnation")
    assert begun.client_proof(KEY) != moved.client_proof(KEY)


def test_a_helper_proves_its_secret() -> None:
    """And gets the name that belongs to it; the service's own proof sent back is none."""
    service = Identification(f"{IDENT}\ncamera-2 the-secret-of-camera-2")
    begun, proof = service.challenge("camera-2", "n" * 64, "i")
    assert proof == begun.server_proof(b"the-secret-of-camera-2")
    assert service.check_proof(begun, begun.client_proof(b"the-secret-of-camera-2")) == "camera-2"
    begun, proof = service.challenge("", "n" * 64, "i")
    assert service.check_proof(begun, begun.client_proof(KEY)) == ""
    for wrong in (proof, begun.client_proof(b"guess"), "", None, 5, begun.client_proof(KEY)[:-1]):
        with pytest.raises(WrongProof, match="wrong identification"):
            service.check_proof(begun, wrong)
    again, _ = service.challenge("", "n" * 64, "i")
    with pytest.raises(WrongProof):
        service.check_proof(again, begun.client_proof(KEY))


def test_an_unknown_name_is_not_told_from_a_wrong_secret() -> None:
    """It is challenged as any other; no client has its key, not even the empty one."""
    service = Identification(IDENT)
    begun, proof = service.challenge("nobody", "n" * 64, "i")
    assert len(proof) == 64
    for key in (KEY, b""):
        assert proof != begun.server_proof(key)
        with pytest.raises(WrongProof, match=r"^wrong identification$"):
            service.check_proof(begun, begun.client_proof(key))
    with pytest.raises(WrongProof, match="wrong identification"):
        service.check_greeting(greeting(name="nobody"), "es", HERE)


@pytest.mark.parametrize(("name", "nonce"), [(None, "n"), ("", None), (5, "n"), ("", b"n")])
def test_a_helper_without_a_nonce_is_told_what_to_do(name: object, nonce: object) -> None:
    """It has no identification."""
    with pytest.raises(LimitReached, match="ident=read_ident"):
        Identification(IDENT).challenge(name, nonce, "i")


def test_a_greeting_is_taken_once() -> None:
    """In its time, for its object and its address."""
    service = Identification(f"{IDENT}\nstage the-secret-of-the-stage", Clock())
    assert service.check_greeting(greeting(), "es", HERE) == ""
    with pytest.raises(LimitReached, match="was used before"):
        service.check_greeting(greeting(), "es", HERE)
    named = greeting("m", key=b"the-secret-of-the-stage", name="stage")
    assert service.check_greeting(named, "es", HERE) == "stage"
    elsewhere = greeting("e", location="[10.0.0.5]:9099")
    with pytest.raises(WrongProof, match=r"another address than \[127.0.0.1\]:9099"):
        service.check_greeting(elsewhere, "es", HERE)
    with pytest.raises(WrongProof):
        service.check_greeting(greeting("o", object_id="other"), "es", HERE)
    with pytest.raises(WrongProof):
        service.check_greeting(greeting("k", key=b"guess"), "es", HERE)
    with pytest.raises(WrongProof):
        service.check_greeting(greeting("p", name="stage"), "es", HERE)


@pytest.mark.parametrize(
    ("seconds", "words"), [(-60, "60 s behind"), (31, "31 s ahead of"), (1e12, "ahead of")]
)
def test_a_clock_that_is_off_is_told_by_how_much(seconds: float, words: str) -> None:
    """Half a minute either way is accepted."""
    service = Identification(IDENT, Clock())
    with pytest.raises(LimitReached, match=words) as refused:
        service.check_greeting(greeting(now=NOW + seconds), "es", HERE)
    assert not isinstance(refused.value, WrongProof)
    service.check_greeting(greeting("early", now=NOW + 30), "es", HERE)
    service.check_greeting(greeting("late", now=NOW - 30), "es", HERE)


def test_nonces_are_remembered_as_long_as_their_greeting_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However many come, the memory is bounded; what has ended makes room."""
    monkeypatch.setattr(identification, "_REMEMBERED", 100)
    clock = Clock()
    service = Identification(IDENT, clock)
    first = greeting("first", now=NOW + 30)
    service.check_greeting(first, "es", HERE)
    for number in range(99):
        service.check_greeting(greeting(str(number)), "es", HERE)
    with pytest.raises(LimitReached, match="too many new connections"):
        service.check_greeting(greeting("one more"), "es", HERE)
    clock.now += 60
    with pytest.raises(LimitReached, match="used before"):
        service.check_greeting(first, "es", HERE)
    clock.now += 0.1
    service.check_greeting(greeting("later", now=clock.now), "es", HERE)
    assert len(service._used) == 1


@pytest.mark.parametrize(
    "text",
    ["", "hello", IDENT, None, 5, b"v1", ["v1"], "v1:1:2", "v1:x:n:p", "v2:1:n:p", "v1:1:n:p:a:b",
     f"v1:1:{'n' * 200}:p", "v1:\ud800:n:p"],
)  # fmt: skip
def test_what_is_no_greeting_is_refused_with_the_remedy(text: object) -> None:
    """A secret in clear, too."""
    assert parse_greeting(text) is None
    with pytest.raises(LimitReached, match=r"pyro_events\.identified") as refused:
        Identification(IDENT).check_greeting(text, "es", HERE)
    assert not isinstance(refused.value, WrongProof)


@pytest.mark.parametrize("time", ["nan", "inf", "-inf", "1e999"])
def test_no_time_is_valid_for_good(time: str) -> None:
    """Even if its proof is right."""
    right = parse_greeting(f"v1:{time}:n:p")
    assert right is not None
    with pytest.raises(LimitReached, match="clock"):
        Identification(IDENT, Clock())._check_new(right)


def test_strange_texts_are_wrong_proofs() -> None:
    """Half a surrogate pair raises nothing else."""
    service = Identification(IDENT, Clock())
    for text in ("v1:1:\ud800:p", "v1:1:n:\ud800", "v1:1:n:p:\ud800"):
        with pytest.raises(WrongProof):
            service.check_greeting(text, "es", HERE)
    begun, _ = service.challenge("\ud800", "\ud800", "i")
    with pytest.raises(WrongProof):
        service.check_proof(begun, "\ud800")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        (("127.0.0.1", 1), "[127.0.0.1]:1"),
        (("::ffff:10.0.0.1", 2, 0, 0), "[10.0.0.1]:2"),
        (("fe80::1%eth0", 3, 0, 2), "[fe80::1]:3"),
        (("0:0::1", "4"), "[::1]:4"),
        ("/run/es.sock", "/run/es.sock"),
    ],
)
def test_both_ends_write_an_address_alike(address: object, found: str) -> None:
    """IPv4 in IPv6 as IPv4, without the scope of one machine."""
    assert location(address) == found
