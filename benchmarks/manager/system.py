"""What the measurements need of a manager."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class System:
    """A manager that was told to run some commands, in a directory of its own.

    A method returns None for what a manager can't do, and that isn't measured.
    """

    name = ""
    needs: tuple[str, ...] = ()
    """Programs, by path; without them it is left out."""
    logs = True
    """Whether it takes its services' output."""

    def __init__(self, directory: Path, commands: Sequence[Sequence[str]]) -> None:
        self.directory = directory
        self.commands = commands
        directory.mkdir(parents=True)
        self.configure()

    def configure(self) -> None:
        """Write the configuration."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Do what an earlier start would have done; it isn't measured."""

    def manager(self) -> list[str]:
        """Return the command that is the manager, in the foreground."""
        raise NotImplementedError

    def status(self) -> list[str] | None:
        """Return the command that shows how all services are."""
        return None

    def stop_all(self) -> list[str] | None:
        """Return the command that stops all services and waits for it; None: end the manager."""
        return None

    def logged(self) -> bytes:
        """Return what was logged of the first service."""
        raise NotImplementedError

    def _read(self, pattern: str) -> bytes:
        return b"".join(path.read_bytes() for path in self.directory.glob(pattern))
