"""The one-time codes with which a browser signs in to a page. Pure.

A code proves that whoever made it can read the page's token, and it holds for a minute. It is in
the fragment of an address, which browsers don't send, so that it is in no log.
"""

from __future__ import annotations

import hashlib
import hmac

CODE_SECONDS = 60


def make_code(token: str, now: float, nonce: str) -> str:
    """Return a code; `now` is in seconds since the epoch, `nonce` is random and used once."""
    until = f"{int(now) + CODE_SECONDS}"
    return f"{until}-{nonce}-{_sign(token, until, nonce)}"


def check_code(token: str, code: str, now: float) -> float | None:
    """Return until when a code holds, in seconds since the epoch; None if it doesn't."""
    until, _, rest = code.partition("-")
    nonce, _, signature = rest.partition("-")
    good = hmac.compare_digest(signature.encode(), _sign(token, until, nonce).encode())
    if not good or not until.isdecimal() or not now <= int(until) <= now + 2 * CODE_SECONDS:
        return None
    return float(until)


def _sign(token: str, until: str, nonce: str) -> str:
    text = f"sign in {until} {nonce}".encode()
    return hmac.new(token.encode(), text, hashlib.sha256).hexdigest()
