"""One-time tokens: the join string, the proof, and when a token ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyroctl.certs.site import create_site
from pyroctl.certs.tokens import (
    JoinProof,
    JoinString,
    Refusal,
    Token,
    Tokens,
    parse_join_string,
    parse_tokens,
    proof,
)
from pyroctl.errors import UsageError

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)
SECRET = bytes(range(16))
TOKEN = Token("pc", ("pc", "10.0.0.1"), SECRET, NOW + timedelta(minutes=15))
TOKENS = Tokens({"00000001": TOKEN})
NONCES = b"c" * 32, b"s" * 32
SERVER = b"the server's certificate"
STRING = JoinString("lab:9100", "ab" * 32, "00000001", SECRET)


def shown(secret: bytes = SECRET, server: bytes = SERVER, id_: str = "00000001") -> JoinProof:
    return JoinProof(id_, *NONCES, proof(secret, *NONCES, server))


@given(
    address=st.sampled_from(["a:1", "[fd00::1]:9100", "10.0.0.1:65535"]),
    ca=st.binary(min_size=32, max_size=32),
    id_=st.binary(min_size=4, max_size=4),
    secret=st.binary(min_size=16, max_size=16),
)
def test_a_join_string_is_read_as_it_was_written(address, ca, id_, secret):
    """It is one word, and survives white space around it."""
    string = JoinString(address, ca.hex(), id_.hex(), secret)
    assert " " not in str(string)
    assert parse_join_string(f" {string}\n") == string


def test_a_damaged_join_string():
    """Any changed, lost or added character is noticed, also in the address."""
    text = str(STRING)
    for position in range(len(text)):
        for damaged in (
            text[:position] + text[position + 1 :],
            text[:position] + ("B" if text[position] != "B" else "C") + text[position + 1 :],
            text[:position],
        ):
            with pytest.raises(UsageError):
                parse_join_string(damaged)


@given(st.text())
def test_what_is_not_a_join_string(text):
    """Any text is refused with a sentence."""
    with pytest.raises(UsageError):
        parse_join_string(text)


def test_a_token_works_once():
    """The second host with the same string is refused."""
    left, token = TOKENS.redeem(shown(), SERVER, NOW)
    assert token == TOKEN
    assert left == Tokens({})
    _, refusal = left.redeem(shown(), SERVER, NOW)
    assert refusal == Refusal("the token is unknown, or was used")


def test_a_token_expires():
    """With the right secret, too."""
    left, refusal = TOKENS.redeem(shown(), SERVER, TOKEN.expires)
    assert (left, refusal) == (Tokens({}), Refusal("the token has expired"))


def test_three_wrong_secrets_end_a_token():
    """The right one after two wrong ones still works; other tokens are not touched."""
    other = Tokens({**TOKENS.tokens, "00000002": TOKEN._replace(name="other")})
    left = other
    for _ in range(2):
        left, refusal = left.redeem(shown(b"wrong"), SERVER, NOW)
        assert refusal == Refusal("wrong secret")
    _, token = left.redeem(shown(), SERVER, NOW)
    assert isinstance(token, Token)
    left, refusal = left.redeem(shown(b"wrong"), SERVER, NOW)
    assert refusal == Refusal("wrong secret, 3 times: the token has ended")
    assert left.tokens.keys() == {"00000002"}


def test_a_proof_is_for_one_server():
    """One that was made for the certificate of another server counts as wrong."""
    _, refusal = TOKENS.redeem(shown(server=b"of a server in between"), SERVER, NOW)
    assert refusal == Refusal("wrong secret")
    _, refusal = TOKENS.redeem(shown()._replace(client_nonce=b"x" * 32), SERVER, NOW)
    assert refusal == Refusal("wrong secret")
    with pytest.raises(ValueError, match="nonce"):
        proof(SECRET, b"c" * 31, b"s" * 33, SERVER)


def test_tokens_survive_their_file():
    """What is written is read again; what was made by others is refused with a ValueError."""
    assert parse_tokens(TOKENS.to_toml()) == TOKENS
    for broken in ("a = 1", "[a]\nname = 'b'", TOKENS.to_toml().replace('"pc"', '"/"')):
        with pytest.raises(ValueError, match=r"token|can't be a name|host"):
            parse_tokens(broken)


def test_one_token_for_a_name():
    """A new one replaces the one before, and those that have expired go."""
    old = Token("old", (), SECRET, NOW)
    tokens = Tokens({"00000003": old, **TOKENS.tokens}).add("00000002", TOKEN, NOW)
    assert tokens.tokens == {"00000002": TOKEN}


def test_the_way_of_a_joining_host(tmp_path):
    """As a listener will use it: promise, redeem, sign; wrong proofs are counted in the file."""
    site = create_site(str(tmp_path / "certs"), "lab", NOW)
    string = parse_join_string(
        str(site.tokens.promise(TOKEN, "lab:9100", site.ca.fingerprint, NOW))
    )
    assert string.ca == site.ca.fingerprint
    wrong = JoinProof(string.id, *NONCES, proof(b"guess", *NONCES, SERVER))
    assert site.tokens.redeem(wrong, SERVER, NOW) == Refusal("wrong secret")
    assert [one.wrong for one in site.tokens.read().tokens.values()] == [1]
    right = JoinProof(string.id, *NONCES, proof(string.secret, *NONCES, SERVER))
    token = site.tokens.redeem(right, SERVER, NOW)
    assert isinstance(token, Token)
    assert site.tokens.read().tokens == {}

    from pyroctl.certs import authority
    from pyroctl.certs.names import checked_host

    key, _ = authority.new_key()
    hosts = [checked_host(host) for host in token.hosts]
    request = authority.make_request(key, token.name)
    issued = site.sign_request(request, token.name, hosts, NOW, 365)
    assert site.clients.keys == {"pc": issued.fingerprint}
    assert site.rows(NOW)[1].state == "valid"
