"""Users and groups of this machine."""

from __future__ import annotations


def describe_user(uid: int) -> str:
    """Return a user's name and number, for people."""
    import pwd  # not at the top: the commands that are often run don't need it

    try:
        return f"{pwd.getpwuid(uid).pw_name} (uid {uid})"
    except KeyError:
        return f"uid {uid}"
