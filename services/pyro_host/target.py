"""Finds the class or object to serve, or reports exactly why it can't be served."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any, NoReturn

from Pyro5.server import Daemon, expose
from Pyro5.server import _get_exposed_members as exposed_members

from pyro_child import CannotServe
from pyro_child.errors import shortage
from pyro_host.wishes import Wishes

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN = os.path.dirname(__file__)  # noqa: PTH120 - compared with file names
_PYRO = f"{os.sep}Pyro5{os.sep}"
_HOW_TO_EXPOSE = "put @Pyro5.api.expose before the class, or before the methods that clients call"


def find(text: str, wishes: Wishes = Wishes()) -> Any:  # noqa: B008 - frozen
    """Return what `MODULE:CLASS`, `MODULE:OBJECT` or `MODULE:FACTORY()` means, ready to register.

    Raises CannotServe. An error in the module's own code is printed with its traceback.
    """
    module_name, colon, attribute = text.partition(":")
    called = attribute.endswith("()")
    names = attribute.removesuffix("()").split(".")
    if not (colon and all(name.isidentifier() for name in (*module_name.split("."), *names))):
        raise CannotServe(
            f"{text!r} is not an object: expected MODULE:CLASS or MODULE:FACTORY()", permanent=True
        )
    found: Any = _import(module_name)
    for name in names:
        try:
            found = getattr(found, name)
        except AttributeError:
            raise CannotServe(_missing(found, name, module_name), permanent=True) from None
    if called:
        found = _call(found, text, wishes)
    elif inspect.isclass(found):
        _prepare_class(found, text, wishes)
    elif wishes.args or wishes.kwargs:
        raise CannotServe(f"{text} is not a class: it takes no arguments", permanent=True)
    elif inspect.isroutine(found):
        raise CannotServe(
            f"{text} is a function: to serve what it returns, write {text}()", permanent=True
        )
    if wishes.instance_mode and not inspect.isclass(found):
        message = f"{text} is one object: an instance_mode is for a class"
        raise CannotServe(message, permanent=True)
    if wishes.expose:
        _expose(found if inspect.isclass(found) else type(found), text)
    _check_exposed(found, text)
    return found


def _expose(kind: type, text: str) -> None:
    try:
        expose(kind)
    except (TypeError, AttributeError) as error:
        raise CannotServe(f"{text} can't be exposed: {error}", permanent=True) from None


def _prepare_class(found: Any, text: str, wishes: Wishes) -> None:
    """Set how Pyro5 makes instances; refuse what would fail in each call."""
    mode, creator = getattr(found, "_pyroInstancing", ("session", None))
    if wishes.args or wishes.kwargs:
        if creator:
            text = f"{text} has an instance creator, which gets no arguments"
            raise CannotServe(f"{text}: remove args and kwargs", permanent=True)
        _check_arguments(found, text, *wishes.args, **wishes.kwargs)

        def create(kind: Any) -> Any:
            return kind(*wishes.args, **wishes.kwargs)

        creator = create
    else:
        _check_constructor(found, text)
    try:
        found._pyroInstancing = wishes.instance_mode or mode, creator  # noqa: SLF001 - Pyro5's
    except TypeError as error:  # written in C
        if wishes != Wishes(expose=wishes.expose):
            raise CannotServe(f"{text} can't be changed: {error}", permanent=True) from None


def daemon_class(text: str) -> type[Daemon]:
    """Return the subclass of Pyro5's Daemon that `MODULE:CLASS` means. Raises CannotServe."""
    module_name, _, attribute = text.partition(":")
    found = getattr(_import(module_name), attribute, None)
    if not (inspect.isclass(found) and issubclass(found, Daemon)):
        message = f"{text} is not a subclass of Pyro5.api.Daemon"
        raise CannotServe(message, permanent=True)
    return found


def apart(found: list[Any]) -> list[Any]:
    """Return the objects with classes of their own, where one class is served several times.

    Pyro5 keeps the id of a class, and its instance, with the class. Raises CannotServe for an
    object that is not a class and is there twice.
    """

    def own(each: Any) -> Any:
        if sum(other is each for other in found) == 1:
            return each
        if not inspect.isclass(each):
            raise CannotServe(f"{each!r} can't have several ids; use names", permanent=True)
        return type(each.__name__, (each,), {"__module__": each.__module__})

    return [own(each) for each in found]


def create_single(found: Any, text: str) -> Any:
    """Return the one instance of a class with instance mode `single`, else None.

    Pyro5 would create it at the first call, and fail only then. Raises CannotServe.
    """
    mode, creator = getattr(found, "_pyroInstancing", ("", None))
    if not inspect.isclass(found) or mode != "single":
        return None
    try:
        return creator(found) if creator else found()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's constructor
        _fail_with(f"{text} can't be created", error, permanent=False)


class _Serves(BaseException):
    """Raised where a module begins to serve; not an Exception, which the module might catch."""


def _import(name: str) -> Any:
    importing = threading.get_ident()
    original = Daemon.requestLoop

    def request_loop(daemon: Any, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == importing:
            raise _Serves
        return original(daemon, *args, **kwargs)

    Daemon.requestLoop = request_loop
    try:
        with explained(f"can't import {name}", name):
            return importlib.import_module(name)
    except _Serves as error:
        raise CannotServe(_serves_itself(name, error), permanent=True) from None
    finally:
        Daemon.requestLoop = original


@contextlib.contextmanager
def explained(what: str, name: str) -> Iterator[None]:
    """Raise what a module raises as CannotServe, with the traceback of its own code printed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            _print_searched()
            text = f"can't import {name}: there is no module {error.name}"
            raise CannotServe(text, permanent=True) from None
        _fail_with(what, error, permanent=True)
    except OSError as error:  # may pass: a device is switched on, a disk is mounted
        if shortage(error):
            raise
        _fail_with(what, error, permanent=False)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the user's module raises
        _fail_with(what, error, permanent=True)


def _serves_itself(name: str, error: BaseException) -> str:
    """Explain that a module would never be imported, with the line at which it serves."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [each for each in frames if not _is_ours(each.filename) and _PYRO not in each.filename]
    where = f" ({theirs[-1].filename}, line {theirs[-1].lineno})" if theirs else ""
    return (
        f"the module {name} serves as soon as it is imported{where}: run it with "
        f'object = "{name}", or put that part under if __name__ == "__main__"'
    )


def _check_constructor(found: Any, text: str) -> None:
    """Refuse a class that Pyro5 can't make an instance of: it would fail in every call."""
    if inspect.isabstract(found):
        methods = ", ".join(sorted(found.__abstractmethods__))
        raise CannotServe(f"{text} is abstract: it lacks {methods}", permanent=True)
    creator = getattr(found, "_pyroInstancing", ("", None))[1]
    if creator:
        _check_arguments(creator, f"the instance creator of {text}", found)
    else:
        _check_arguments(found, text)


def _check_arguments(called: Any, text: str, *given: Any, **named: Any) -> None:
    """Refuse a factory or class that can't be called with these arguments."""
    try:
        signature = inspect.signature(called)
    except (TypeError, ValueError):  # written in C
        return
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        module = text.rpartition(" ")[2].partition(":")[0]
        raise CannotServe(
            f"{text} can't be called as the host does: {error}; set args and kwargs, or write a "
            f'factory that returns the object, and serve "{module}:factory()"',
            permanent=True,
        ) from None


def _call(factory: Any, text: str, wishes: Wishes) -> Any:
    if not callable(factory):
        raise CannotServe(
            f"{text}: a {type(factory).__name__} can't be called; leave out the ()", permanent=True
        )
    _check_arguments(factory, text, *wishes.args, **wishes.kwargs)
    try:
        return factory(*wishes.args, **wishes.kwargs)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the user's code
        _fail_with(f"{text} failed", error, permanent=False)


def _fail_with(what: str, error: BaseException, *, permanent: bool) -> NoReturn:
    """Print the traceback of the user's code, and raise CannotServe with a one-line summary."""
    print(own_traceback(error), end="", file=sys.stderr, flush=True)  # noqa: T201 - the output
    if isinstance(error, ImportError):
        _print_searched()
    raise CannotServe(f"{what}: {_describe(error)}", permanent=permanent)


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def own_traceback(error: BaseException) -> str:
    """Return the traceback without frames of this package and of Python's import system."""
    told = traceback.TracebackException.from_exception(error)
    pending: list[traceback.TracebackException | None] = [told]
    while pending:
        part = pending.pop()
        if part is not None:
            frames = [frame for frame in part.stack if not _is_ours(frame.filename)]
            part.stack = traceback.StackSummary.from_list(frames)
            pending += [part.__cause__, part.__context__]
    return "".join(told.format())


def _is_ours(filename: str) -> bool:
    return filename.startswith(
        ("<frozen importlib", "<frozen runpy", importlib.__file__, _OWN + os.sep)
    )


def _print_searched() -> None:
    """Print where modules were searched; the error follows, as the last line tells why."""
    searched = [
        entry if os.path.exists(entry) else f"{entry} (which doesn't exist)"  # noqa: PTH110 - see _OWN
        for entry in sys.path
        if not entry.endswith(".zip") or os.path.exists(entry)  # noqa: PTH110 - see _OWN
    ]
    print("searched for modules in", *searched, sep="\n  ", file=sys.stderr, flush=True)  # noqa: T201 - the output


def _missing(owner: Any, name: str, module: str) -> str:
    import difflib  # noqa: PLC0415 - only when there is something to explain

    public = [known for known in dir(owner) if not known.startswith("_")]
    near = difflib.get_close_matches(name, public, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    file = getattr(owner, "__file__", None)
    place = f"module {module} ({file})" if file else f"{getattr(owner, '__qualname__', module)}"
    return f"there is no {name} in {place}{hint}"


def _check_exposed(found: Any, text: str) -> None:
    if not inspect.isclass(found) and type(found).__module__ == "builtins":
        what = f"the {type(found).__name__} {text} has nothing that clients can call"
        raise CannotServe(what, permanent=True)
    members = exposed_members(found)
    if not (members["methods"] or members["attrs"]):
        raise CannotServe(f"{text} exposes nothing to clients: {_HOW_TO_EXPOSE}", permanent=True)
