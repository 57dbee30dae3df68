"""Signing in and out."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING

from pyroctl.web.api.call import Reply
from pyroctl.web.security.policy import Refusal
from pyroctl.web.security.sessions import SESSION_SECONDS

if TYPE_CHECKING:
    from pyroctl.web.api.call import Call
    from pyroctl.web.api.models import SignIn
    from pyroctl.web.site import Site


async def sign_in(call: Call) -> Reply:
    """Begin a session with a one-time code or the token; the answer has its cookie."""
    body: SignIn = call.body
    site = call.site
    good = (body.code is not None and site.sessions.redeem(body.code, time.time())) or (
        body.token is not None and site.sessions.is_token(body.token)
    )
    if not good:
        what = "code is used or too old" if body.code is not None else "token is wrong"
        raise Refusal(401, "sign-in", f"the {what}", "pyroctl web open")
    secret = secrets.token_hex(32)
    site.sessions.open(secret, time.time())
    site.keep_sessions()
    data = {"name": "page", "role": site.settings.options.access}
    return Reply(data, headers={"set-cookie": _cookie(site, secret, SESSION_SECONDS)})


async def sign_out(call: Call) -> Reply:
    """End the session."""
    call.site.sessions.close(call.principal.secret)
    call.site.keep_sessions()
    return Reply({}, headers={"set-cookie": _cookie(call.site, "", 0)})


def _cookie(site: Site, secret: str, seconds: float) -> str:
    secure = "; Secure" if site.is_encrypted else ""
    return (
        f"{site.policy.cookie}={secret}; Path=/; Max-Age={seconds:.0f}; HttpOnly;"
        f" SameSite=Strict{secure}"
    )
