"""What keeps an object from being served, said so that somebody can act on it."""

from __future__ import annotations

from pyro_child.protocol import PERMANENT_FAILURE


class CannotServe(Exception):
    """The object can't be served; its text is for people, in one or a few lines.

    `exit_code` says whether it is worth another try: `PERMANENT_FAILURE` if it isn't.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        super().__init__(message)
        self.exit_code = PERMANENT_FAILURE if permanent else 1
