"""Answers the requests of the command line: one method for each verb of the control channel."""

from __future__ import annotations

import contextlib
import logging
import os
from functools import partial
from typing import TYPE_CHECKING, Any

from pyroctl.control.server import error_reply
from pyroctl.core import plan
from pyroctl.core.dependents import affected
from pyroctl.core.instances import meant
from pyroctl.core.spec import EventServiceOptions
from pyroctl.core.state import SETTLED, State, Stop
from pyroctl.errors import PyroctlError, UsageError
from pyroctl.manager import reexec
from pyroctl.manager.commands import apply, impact, operations, reload, restarts
from pyroctl.manager.commands.gate import Scope
from pyroctl.manager.commands.observing import Observing
from pyroctl.manager.commands.starting import StartAttempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from pyroctl.control.protocol import Message
    from pyroctl.core.key_types import OnRestart
    from pyroctl.manager.commands.gate import Gate, Send
    from pyroctl.manager.deployment.supervisor import Supervisor
    from pyroctl.manager.deployment.unit import Unit

    Operation = Callable[[Sequence[str], Message, Send], Awaitable[Message]]

log = logging.getLogger(__name__)

RESERVED = "pyroctl."
"""What the subjects of the manager's own events begin with."""
RESTARTS: dict[str, OnRestart] = {"notify": "notify", "handover": "handover"}


class Requests:
    """Answers requests; operations that change the same services run one after the other.

    `reexec` starts the installed program in this process, and gets the nonce of the request;
    `reloaded` is called when another configuration is in effect; `about` returns what a status has
    of the manager besides its process.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        gate: Gate,
        *,
        shut_down: Callable[[], Awaitable[None]],
        reexec: Callable[[str], None],
        reloaded: Callable[[], None],
        about: Callable[[], Message],
    ) -> None:
        self._supervisor = supervisor
        self._gate = gate
        self._shut_down_manager = shut_down
        self._reexec_manager = reexec
        self._reloaded = reloaded
        self._observing = Observing(supervisor, gate, about)
        self._starts: dict[Scope, StartAttempt] = {}
        """The starts that other commands wait for."""

    async def handle(self, do: str, args: Message, send: Send) -> Message:
        """Answer a request; the handler of the control server."""
        names = meant(_names(args), self._supervisor.units)
        self._check_config(args.get("config"))
        questions: dict[str, Operation] = {
            "status": self._observing.status,
            "watch": self._observing.watch,
            "measure": self._observing.measure,
            "shutdown": self._shut_down,
            "foresee": self._assess_impact,
            "subscriptions": self._subscriptions,
            "subjects": self._subjects,
            "publish": self._publish,
            "may": self._may,
            "eventservice": self._event_service_address,
            "reexecuted": self._reexecuted,
        }
        if do in questions:
            return await questions[do](names, args, send)
        scope = self._scope(do, names, args)
        changes: dict[str, Operation] = {
            "reexec": self._reexec,
            "start": partial(self._start, scope),
            "stop": self._stop,
            "restart": self._restart,
            "reload": self._reload,
        }
        if do not in changes:
            raise PyroctlError(f"the manager has no request {do!r}")
        self._supervisor.choose(names)
        if do == "stop":
            self._cancel_starts(names, send)
        with self._gate.restarting(names if do == "restart" else ()):
            return await self._gate.admit(scope, send, partial(changes[do], names, args))

    def _scope(self, do: str, names: Sequence[str], args: Message) -> Scope:
        """Return which services a change concerns."""
        what = " ".join((do, *names))
        needs = self._supervisor.needs()
        if do == "start":
            touched = plan.closure(names or self._supervisor.enabled(), needs)
            return Scope(what, changes=touched) if args.get("atomic") else Scope(what, uses=touched)
        if do in {"stop", "restart"}:
            changes = plan.closure(names or self._supervisor.units, plan.reverse(needs))
            return Scope(what, changes, plan.closure(names, needs) if do == "restart" else set())
        return Scope(what, everything=True)

    def _check_config(self, wanted: object) -> None:
        """Refuse a request that means another deployment with the same root."""
        ours = self._supervisor.deployment.file
        if wanted not in {None, ours}:
            raise UsageError(
                f"the manager here runs {ours or 'the built-in deployment'}, not {wanted}",
                hint="use a separate --root for each configuration, or shut this manager down",
            )

    async def _assess_impact(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return what clients would lose by a command, and whether a handover would avoid it."""
        command, how = args.get("command"), self._how(args, names)
        named = self._supervisor.choose(names)
        chosen = [unit.name for unit in named]
        if command == "stop":
            dependents = plan.reverse(self._supervisor.needs())
            chosen = list(plan.closure(names or self._supervisor.units, dependents))
        elif command == "shutdown":
            chosen = list(self._supervisor.units)
        elif command == "reload":
            chosen = self._affected((await reload.prepare(self._supervisor)).interrupted())
        elif command == "restart":
            chosen = self._affected(u.name for u in named if restarts.way_of(u, how) != "handover")
        units = [unit for name, unit in self._supervisor.units.items() if name in chosen]
        found = await impact.assess_impact(units, self._supervisor.names)
        handover = command == "restart" and how is None and all(map(restarts.can_hand_over, named))
        if command == "restart":
            passed = [unit for unit in named if unit.name not in chosen]
            found += await impact.disconnected(passed)
        data = {"consequences": found, "handover": handover}
        return {"data": data, "errors": [], "exit_code": 0}

    def _affected(self, names: Iterable[str]) -> list[str]:
        """Return the services and those that follow them."""
        units = self._supervisor.units
        policies = {name: unit.spec.on_needs for name, unit in units.items()}
        return list(affected(names, self._supervisor.needs(), policies))

    async def _subscriptions(self, names: Sequence[str], args: Message, send: Send) -> Message:
        name, rows = await self._asked(names, "subscriptions")
        data = {"service": name, "subscriptions": rows}
        return {"data": data, "errors": [], "exit_code": 0}

    async def _subjects(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return which subjects are published, and have it counted for a while."""
        name, found = await self._asked(names, "inventory")
        return {"data": {"service": name, **found}, "errors": [], "exit_code": 0}

    async def _publish(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Publish a value of JSON, under any subject but those of the manager itself."""
        subject = str(args.get("subject"))
        if subject.lower().startswith(RESERVED):
            raise UsageError(f"{subject}: only the manager publishes about {RESERVED}…")
        event = (subject, args.get("msg"))
        name, answer = await self._asked(names, "publish", events=[event])
        if answer["refused"]:
            raise UsageError(answer["refused"][0], service=name)
        return {"data": {"service": name, "published": 1}, "errors": [], "exit_code": 0}

    async def _asked(
        self, names: Sequence[str], question: str, **parameters: Any
    ) -> tuple[str, Any]:
        """Return the chosen event service's name, and what it answers."""
        unit = self._supervisor.event_service(names)
        try:
            return unit.name, await unit.ask(question, **parameters)
        except OSError as error:
            raise PyroctlError(
                f"{unit.name} doesn't answer {question}: {error}", service=unit.name
            ) from None

    async def _may(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return what a client may do about a subject, and which rule decides."""
        unit = self._supervisor.event_service(names)
        try:
            found = await unit.ask("may", client=args.get("client"), subject=args.get("subject"))
        except OSError as error:
            raise PyroctlError(f"{unit.name} doesn't tell: {error}", service=unit.name) from None
        return {"data": {"service": unit.name, **found}, "errors": [], "exit_code": 0}

    async def _event_service_address(
        self, names: Sequence[str], args: Message, send: Send
    ) -> Message:
        unit = self._supervisor.event_service(names)
        data = {"service": unit.name, "uri": unit.uri}
        return {"data": data, "errors": [], "exit_code": 0}

    async def _start(
        self, scope: Scope, names: Sequence[str], args: Message, send: Send
    ) -> Message:
        """Start services, and wait for them unless `no_wait`, up to `wait` seconds.

        Without names, what has done its work doesn't run again. With `atomic`, a failure takes
        everything back.
        """
        wanted = names or self._supervisor.enabled()
        start = StartAttempt(self._supervisor, wanted, _reporting(send), rerun=bool(names))
        if args.get("no_wait"):
            return await self._result(list(start.units), ())
        self._starts[scope] = start
        try:
            await start.settle(float(args["wait"]) if "wait" in args else None)
            failures = start.failures()
            if failures and args.get("atomic"):
                failures = await start.take_back()
            else:
                _report_waiting(send, start.waiting())
        finally:
            del self._starts[scope]
        if failures or start.idle:
            await self._report_changes(send)
        return await self._result(list(start.units), failures)

    async def _report_changes(self, send: Send) -> None:
        """Report that the manager has not read the current configuration, which may explain it."""
        with contextlib.suppress(PyroctlError):  # an invalid one can't be compared
            found = await reload.prepare(self._supervisor)
            if found.steps:
                text = "the configuration has changed since it was read; pyroctl reload applies it"
                send({"kind": "progress", "text": text})

    def _cancel_starts(self, names: Sequence[str], send: Send) -> None:
        """End the waiting of other commands for services which are to stop now.

        An atomic start ends as a whole.
        """
        units = self._supervisor.units
        dependents = plan.reverse(self._supervisor.needs())
        stopped = [*names, *plan.closure(names or units, dependents)]
        for scope, start in self._starts.items():
            if not start.units.keys().isdisjoint(stopped):
                send({"kind": "progress", "text": f"cancelling another command: {scope.what}"})
                scope.uses.difference_update(stopped)
                start.give_up(start.units if scope.changes else stopped)
        self._supervisor.scheduler.forget(stopped)
        for name in stopped:
            if units[name].state is State.STARTING:
                units[name].send(Stop())

    async def _stop(self, names: Sequence[str], args: Message, send: Send) -> Message:
        chosen = names or list(self._supervisor.units)
        failures = await operations.stop(self._supervisor, chosen, _reporting(send))
        touched = plan.closure(chosen, plan.reverse(self._supervisor.needs()))
        return await self._result(list(touched), failures)

    async def _restart(self, names: Sequence[str], args: Message, send: Send) -> Message:
        how = self._how(args, names)
        done, failures = await operations.restart(self._supervisor, names, _reporting(send), how)
        self._observing.meter.restarted(done)
        reply = await self._result(names, failures)
        reply["data"]["restarts"] = done
        return reply

    def _how(self, args: Message, names: Sequence[str]) -> OnRestart | None:
        """Return how to restart an event service, if the request specifies it."""
        how = RESTARTS.get(str(args.get("how")))
        for unit in self._supervisor.choose(names) if how else ():
            if not isinstance(unit.spec.options, EventServiceOptions):
                raise UsageError(
                    f"{unit.name} is not an event service; --{how} is only for those",
                    hint=f"pyroctl restart {unit.name}",
                    service=unit.name,
                )
        return how

    async def _reload(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Read the configuration again; with `dry_run` only return what would be done.

        With `expect`, a fingerprint, apply no other configuration than that.
        """
        try:
            found = await reload.prepare(self._supervisor)
        except PyroctlError:
            self._observing.meter.reloaded(successful=False)
            raise
        data: Message = {"plan": found.entries(), "manager": found.manager_entries()}
        if args.get("dry_run"):
            data["fingerprint"] = found.fingerprint()
            return {"data": data, "errors": [], "exit_code": 0}
        if args.get("expect") not in {None, found.fingerprint()}:
            raise PyroctlError(
                "the configuration has changed again; nothing was done",
                hint="see the new changes: pyroctl reload",
            )
        done = await apply.apply(self._supervisor, found, _reporting(send))
        self._reloaded()
        self._observing.meter.reloaded(successful=not done.failures)
        await reload.certificates(self._supervisor)
        names = [step.service for step in found.steps]
        scheduler = self._supervisor.scheduler
        waiting = {name: need for name in names if (need := scheduler.waits_for(name))}
        _report_waiting(send, waiting)
        reply = await self._result(names, done.failures)
        reply["data"] |= {**data, "restarts": done.restarts, "undone": done.undone}
        return reply

    async def _reexecuted(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Return whether this is the program that was requested with that nonce."""
        done = args.get("nonce") == self._gate.nonce
        return {"data": {"done": done}, "errors": [], "exit_code": 0}

    async def _reexec(self, names: Sequence[str], args: Message, send: Send) -> Message:
        """Start the installed program in this process, if it can continue."""
        version = await reexec.check(self._supervisor.deployment, self._supervisor.stamps())
        self._reexec_manager(str(args.get("nonce")))
        return {"data": {"pid": os.getpid(), "version": version}, "errors": [], "exit_code": 0}

    async def reload(self) -> None:
        """Reload, and log the result; for a signal, for which no command waits."""
        try:
            reply = await self.handle("reload", {}, lambda _: None)
        except PyroctlError as error:
            reply = error_reply(error)
        for entry in reply["errors"]:
            place = ":".join(str(entry[key]) for key in ("file", "line") if entry.get(key))
            log.error("reload: %s", ": ".join(part for part in (place, entry["message"]) if part))
        if not reply["errors"]:
            log.info("reload: done, %d steps", len(reply["data"]["plan"]))

    async def _shut_down(self, names: Sequence[str], args: Message, send: Send) -> Message:
        running = [unit for unit in self._supervisor.units.values() if unit.pid is not None]
        if args.get("if_idle") and not self.is_idle():
            return {"data": {"stopped": []}, "errors": [], "exit_code": 0}
        if running:
            stopped = ", ".join(unit.name for unit in running)
            send({"kind": "progress", "text": f"stopping {stopped}"})
        await self._shut_down_manager()
        return {"data": {"stopped": [unit.name for unit in running]}, "errors": [], "exit_code": 0}

    def is_idle(self) -> bool:
        """Return whether no service and no command needs the manager."""
        units = self._supervisor.units.values()
        pending = self._supervisor.scheduler.pending()
        return self._gate.idle and not pending and all(unit.state in SETTLED for unit in units)

    async def _result(self, names: Sequence[str], failures: Sequence[PyroctlError]) -> Message:
        units = [unit for name, unit in self._supervisor.units.items() if name in names]
        return {
            "data": {"services": await self._observing.reporter.rows(units)},
            "errors": [entry for failure in failures for entry in failure.entries()],
            "exit_code": failures[0].exit_code if failures else 0,
        }


def _names(args: Message) -> list[str]:
    names = args.get("services", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise PyroctlError("'services' of a request must be a list of names")
    return list(dict.fromkeys(names))


def _reporting(send: Send) -> Callable[[Unit], None]:
    """Return a function that reports each service to the client when it is done."""

    def report(unit: Unit) -> None:
        send(
            {
                "kind": "progress",
                "service": unit.name,
                "state": str(unit.state),
                "pid": unit.pid,
                "uri": unit.uri,
                "reason": unit.service_state.reason,
            }
        )

    return report


def _report_waiting(send: Send, waiting: Mapping[str, str]) -> None:
    """Report which services wait for which need."""
    for name, need in waiting.items():
        text = f"{name} waits for {need}, and starts when that is ready"
        send({"kind": "progress", "text": text})
