"""tokens.toml: the one-time tokens of a site. Needs no cryptography, so the manager can use it."""

from __future__ import annotations

import os
from os.path import join
from typing import TYPE_CHECKING

from pyroctl.certs.files import TOKENS, locked, parse
from pyroctl.certs.tokens import ID, JoinString, Tokens, parse_tokens
from pyroctl.private_file import write_private

if TYPE_CHECKING:
    from datetime import datetime

    from pyroctl.certs.tokens import JoinProof, Refusal, Token


class TokenFile:
    """The tokens in a site's directory; every method raises PyroctlError or OSError."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def read(self) -> Tokens:
        """Return all tokens, expired ones included."""
        try:
            return parse(join(self._directory, TOKENS), parse_tokens)
        except FileNotFoundError:
            return Tokens({})

    def write(self, tokens: Tokens) -> None:
        """Replace all; the caller holds the directory's lock."""
        write_private(join(self._directory, TOKENS), tokens.to_toml().encode(), replace=True)

    def promise(self, token: Token, address: str, ca: str, now: datetime) -> JoinString:
        """Store a token; return the string with which its host joins the CA of this fingerprint."""
        id_ = os.urandom(ID).hex()
        with locked(self._directory):
            self.write(self.read().add(id_, token, now))
        return JoinString(address, ca, id_, token.secret)

    def redeem(self, shown: JoinProof, certificate: bytes, now: datetime) -> Token | Refusal:
        """Use up the token of a joining host, or count a wrong proof.

        `certificate` is that of the server to which the host has connected, in DER.
        """
        with locked(self._directory):
            before = self.read()
            left, answer = before.redeem(shown, certificate, now)
            if left != before:
                self.write(left)
            return answer
