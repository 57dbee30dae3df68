"""The error tree: every mistake says what happened, where, and what to do next.

This module is on the path of every command, so it imports nothing heavy.
Exit codes are the public contract (see pyroctl(1), EXIT STATUS).
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
EXIT_UNKNOWN = 4
EXIT_NOT_PERMITTED = 4
EXIT_NO_ANSWER = 4
EXIT_NO_SUCH_SERVICE = 5
EXIT_CONFIG = 6
EXIT_NO_MANAGER = 7
EXIT_INTERRUPTED = 130

PERMANENT_FAILURE = 125
"""The exit code by which a service says that starting it again is pointless."""


class PyroctlError(Exception):
    """Base of all errors that a user can meet.

    `message` is one sentence; `hint` what to do about it; `service`, `file` and `line` where.
    """

    code = "failed"
    exit_code = EXIT_FAILED

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        service: str | None = None,
        file: str | None = None,
        line: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.service = service
        self.file = file
        self.line = line

    def entries(self) -> list[dict[str, object]]:
        """Give the error as entries of the JSON envelope's `errors`; most errors are one."""
        return [
            {
                "code": self.code,
                "message": self.message,
                "hint": self.hint,
                "service": self.service,
                "file": self.file,
                "line": self.line,
            }
        ]


class UsageError(PyroctlError):
    """The command line makes no sense."""

    code = "usage"
    exit_code = EXIT_USAGE


class ServiceFailed(PyroctlError):
    """A service did not become ready; `output` is the last that it said."""

    code = "service-failed"

    def __init__(
        self, message: str, *, service: str, hint: str | None = None, output: Sequence[str] = ()
    ) -> None:
        super().__init__(message, hint=hint, service=service)
        self.output = tuple(output)

    def entries(self) -> list[dict[str, object]]:
        """Give the entry with the service's last lines."""
        (entry,) = super().entries()
        return [{**entry, "output": list(self.output)}]


class NotEnded(ServiceFailed):
    """Processes of a service that not even SIGKILL ends; `pids` are those, as far as we see any."""

    code = "not-ended"

    def __init__(self, service: str, pids: Sequence[int]) -> None:
        those = ", ".join(map(str, pids))
        what = f"process {those} is" if len(pids) == 1 else f"processes {those} are"
        what += " still there after SIGKILL"
        super().__init__(
            f"{service} can't be ended: {what if pids else 'nobody knows what is left of it'}",
            service=service,
            hint="such a process waits inside the kernel, for a disk or a debugger for instance:"
            " ps -o pid,stat,wchan,cmd shows for what",
        )
        self.pids = tuple(pids)

    def entries(self) -> list[dict[str, object]]:
        """Give the entry with the process ids."""
        (entry,) = super().entries()
        return [{**entry, "pids": list(self.pids)}]


class EssentialFailed(PyroctlError):
    """A service with on_failure = "shutdown" has failed, and with it the whole deployment.

    Its exit code is the service's own.
    """

    code = "essential-failed"

    def __init__(self, service: str, reason: str, exit_code: int) -> None:
        super().__init__(
            f"{service} has failed: {reason}; everything is stopped",
            hint=f'because of services.{service}.on_failure = "shutdown"',
            service=service,
        )
        self.exit_code = exit_code


class Declined(PyroctlError):
    """The user answered a question with no; nothing was changed."""

    code = "declined"


class NotPermitted(PyroctlError):
    """The manager or its files belong to somebody else."""

    code = "not-permitted"
    exit_code = EXIT_NOT_PERMITTED


def system_error(error: OSError) -> PyroctlError:
    """Say what the system refused, instead of showing a traceback."""
    what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if isinstance(error, PermissionError):
        return NotPermitted(what, hint="run the command as the user who owns it, or as root")
    return PyroctlError(what)


class NoAnswer(PyroctlError):
    """A manager holds the lock but doesn't answer in time."""

    code = "no-answer"
    exit_code = EXIT_NO_ANSWER


class UnknownService(PyroctlError):
    """No service of that name in the deployment."""

    code = "unknown-service"
    exit_code = EXIT_NO_SUCH_SERVICE

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        nearest = nearest_name(name, names)
        hint = f"did you mean {nearest!r}?" if nearest else f"services here: {', '.join(names)}"
        super().__init__(f"no service named {name!r}", hint=hint, service=name)


class ManagerNotRunning(PyroctlError):
    """The command needs a running manager."""

    code = "manager-not-running"
    exit_code = EXIT_NO_MANAGER


class AlreadyRunning(PyroctlError):
    """Another manager holds this deployment."""

    code = "already-running"


class Diagnostic(PyroctlError):
    """One fault of a configuration: `key` is dotted (`services.es.port`), place 1-based."""

    code = "config"
    exit_code = EXIT_CONFIG

    def __init__(
        self,
        message: str,
        *,
        key: str = "",
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, file=file, line=line)
        self.key = key
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.key, self.message) if part)

    def entries(self) -> list[dict[str, object]]:
        """Give the entry with the key in front of the message, and the column beside the line."""
        (entry,) = super().entries()
        message = f"{self.key}: {self.message}" if self.key else self.message
        return [{**entry, "message": message, "column": self.column}]


class ConfigError(PyroctlError):
    """The configuration can't be used; `faults` lists everything that is wrong with it."""

    code = "config"
    exit_code = EXIT_CONFIG

    def __init__(self, faults: Sequence[Diagnostic]) -> None:
        self.faults = tuple(faults)
        count = len(self.faults)
        super().__init__(
            "1 fault in the configuration" if count == 1 else f"{count} faults in the configuration"
        )

    def __reduce__(self) -> tuple[type[ConfigError], tuple[Sequence[Diagnostic]]]:
        """Let pickle make it anew of its faults."""
        return type(self), (self.faults,)

    def entries(self) -> list[dict[str, object]]:
        """Give one entry a fault."""
        return [entry for fault in self.faults for entry in fault.entries()]


class Reported(PyroctlError):
    """Several errors, already as entries; or what another process of ours has reported."""

    def __init__(self, entries: Sequence[dict[str, object]], exit_code: int) -> None:
        super().__init__(str(entries[0]["message"]))
        self._entries = list(entries)
        self.exit_code = exit_code

    def entries(self) -> list[dict[str, object]]:
        """Give what was reported, unchanged."""
        return self._entries


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was probably meant, or None."""
    import difflib

    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else None
