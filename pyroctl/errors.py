"""The errors and their exit codes: each error says what happened, where, and what to do next.

Every command imports this module, so it imports nothing heavy. The exit codes are documented in
pyroctl(1), EXIT STATUS.
"""

from __future__ import annotations

import errno

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOT_RUNNING = 3
EXIT_DUE = 3
EXIT_UNKNOWN = 4
EXIT_NOT_PERMITTED = 4
EXIT_NO_ANSWER = 4
EXIT_NO_SUCH_SERVICE = 5
EXIT_CONFIG = 6
EXIT_NO_MANAGER = 7
EXIT_INTERRUPTED = 130

PERMANENT_FAILURE = 125
"""The exit code by which a service reports that starting it again is pointless."""


class PyroctlError(Exception):
    """Base of all errors that are reported to users.

    `message` is one sentence, `hint` says what to do; `service`, `file` and `line` are the place.
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
        """Return the entries for `errors` in the JSON envelope; most errors are one entry."""
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
    """The command line is invalid."""

    code = "usage"
    exit_code = EXIT_USAGE


class ServiceFailed(PyroctlError):
    """A service did not become ready; `output` is its last lines of output."""

    code = "service-failed"

    def __init__(
        self, message: str, *, service: str, hint: str | None = None, output: Sequence[str] = ()
    ) -> None:
        super().__init__(message, hint=hint, service=service)
        self.output = tuple(output)

    def entries(self) -> list[dict[str, object]]:
        """Return the entry with the service's last lines of output."""
        (entry,) = super().entries()
        return [{**entry, "output": list(self.output)}]


class NotEnded(ServiceFailed):
    """Processes of a service survive SIGKILL; `pids` are those that are known."""

    code = "not-ended"

    def __init__(self, service: str, pids: Sequence[int]) -> None:
        listed = ", ".join(map(str, pids))
        survivors = f"process{'' if len(pids) == 1 else 'es'} {listed} survived SIGKILL"
        reason = f": {survivors}" if pids else "; its remaining processes are unknown"
        super().__init__(
            f"{service} could not be stopped{reason}",
            service=service,
            hint="such a process is blocked in the kernel, for example by a disk or a debugger;"
            " ps -o pid,stat,wchan,cmd shows where",
        )
        self.pids = tuple(pids)

    def entries(self) -> list[dict[str, object]]:
        """Return the entry with the process IDs."""
        (entry,) = super().entries()
        return [{**entry, "pids": list(self.pids)}]


class EssentialFailed(PyroctlError):
    """A service with on_failure = "shutdown" has failed, so the whole deployment stops.

    The exit code is that of the service.
    """

    code = "essential-failed"

    def __init__(self, service: str, reason: str, exit_code: int) -> None:
        super().__init__(
            f"{service} has failed: {reason}; all services were stopped",
            hint=f'services.{service}.on_failure is "shutdown"',
            service=service,
        )
        self.exit_code = exit_code


class Declined(PyroctlError):
    """The user or --safe declined; nothing was changed."""

    code = "declined"


class NotPermitted(PyroctlError):
    """The manager or its files belong to another user."""

    code = "not-permitted"
    exit_code = EXIT_NOT_PERMITTED


def describe(error: BaseException) -> str:
    """Return the text of an error; those of the system say it without their number."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def system_error(error: OSError) -> PyroctlError:
    """Return an error for what the system refused."""
    what = describe(error)
    if isinstance(error, PermissionError):
        return NotPermitted(what, hint="run the command as the owner, or as root")
    if error.errno in {errno.EMFILE, errno.ENFILE}:
        return PyroctlError(what, hint="allow more open files: ulimit -n 1024")
    return PyroctlError(what)


class NoAnswer(PyroctlError):
    """A manager holds the lock but does not answer in time."""

    code = "no-answer"
    exit_code = EXIT_NO_ANSWER


class ManagerExited(NoAnswer):
    """The manager has ended without an answer."""


class ShuttingDown(PyroctlError):
    """The manager takes no more commands that change something."""

    code = "shutting-down"

    def __init__(self) -> None:
        super().__init__("the manager is shutting down", hint="try again when it has ended")


class UnknownService(PyroctlError):
    """The deployment has no service of that name."""

    code = "unknown-service"
    exit_code = EXIT_NO_SUCH_SERVICE

    def __init__(self, name: str, known: Iterable[str]) -> None:
        from pyroctl.suggestions import nearest_name

        names = sorted(known)
        nearest = nearest_name(name, names, 0.6)
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
    """An error in the configuration: `key` is dotted (`services.es.port`), the place 1-based."""

    code = "config"
    exit_code = EXIT_CONFIG

    def __init__(
        self,
        message: str,
        *,
        key: str = "",
        service: str | None = None,
        file: str | None = None,
        line: int | None = None,
        column: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint, service=service, file=file, line=line)
        self.key = key
        self.column = column

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.key, self.message) if part)

    def entries(self) -> list[dict[str, object]]:
        """Return the entry with the key in front of the message, and with the column."""
        (entry,) = super().entries()
        message = f"{self.key}: {self.message}" if self.key else self.message
        return [{**entry, "message": message, "column": self.column}]


class ConfigError(PyroctlError):
    """The configuration can't be used; `diagnostics` list all that is wrong with it."""

    code = "config"
    exit_code = EXIT_CONFIG

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        count = len(self.diagnostics)
        super().__init__(f"the configuration has {count} error{'' if count == 1 else 's'}")

    def __reduce__(self) -> tuple[type[ConfigError], tuple[Sequence[Diagnostic]]]:
        """Return how pickle creates it from its diagnostics."""
        return type(self), (self.diagnostics,)

    def entries(self) -> list[dict[str, object]]:
        """Return one entry per diagnostic."""
        return [entry for one in self.diagnostics for entry in one.entries()]


class Reported(PyroctlError):
    """Errors that are entries already, for example reported by another process."""

    def __init__(self, entries: Sequence[dict[str, object]], exit_code: int) -> None:
        super().__init__(str(entries[0]["message"]))
        self._entries = list(entries)
        self.exit_code = exit_code

    def entries(self) -> list[dict[str, object]]:
        """Return the entries unchanged."""
        return self._entries
