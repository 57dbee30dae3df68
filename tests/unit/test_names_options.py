"""The command line of the name server."""

from __future__ import annotations

import pytest

from pyro_names.options import parse


def test_without_options_it_is_a_name_server_for_this_machine():
    """The defaults are Pyro5's, except that it doesn't answer broadcasts unasked."""
    options = parse([])
    assert (options.host, options.port, options.storage) == ("localhost", 9090, "memory")
    assert (options.broadcast, options.autoclean, options.nathost) == (False, 0.0, None)


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["--port", "65536"], "a port from 0 to 65535"),
        (["--port", "-1"], "a port from 0 to 65535"),
        (["--port", "http"], "a port from 0 to 65535"),
        (["--storage", "sql:"], "neither memory nor sql:FILE"),
        (["--storage", "sql::memory:"], "neither memory nor sql:FILE"),
        (["--storage", "disk"], "neither memory nor sql:FILE"),
        (["--autoclean", "2.9"], "from 3"),
        (["--autoclean", "-5"], "from 3"),
        (["--autoclean", "nan"], "from 3"),
        (["--autoclean", "inf"], "from 3"),
        (["--autoclean", "often"], "from 3"),
        (["--natport", "1"], "needs --nathost"),
        (["--bc-port", "0"], "need --broadcast"),
        (["--bc-host", "127.0.0.1"], "need --broadcast"),
        (["--hos", "x"], "unrecognized arguments"),
        (["extra"], "unrecognized arguments"),
    ],
)
def test_nonsense_exits_2_and_reports_what_is_wrong(argv, complaint, capsys):
    """An error is found before anything is done."""
    with pytest.raises(SystemExit) as exit_:
        parse(argv)
    assert exit_.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(("text", "seconds"), [("0", 0.0), ("3", 3.0), ("60.5", 60.5)])
def test_autoclean_takes_seconds(text, seconds):
    """0 disables cleaning; Pyro5's minimum applies."""
    assert parse(["--autoclean", text]).autoclean == seconds


def test_version_names_the_program(capsys):
    """Every program of ours answers --version on stdout."""
    with pytest.raises(SystemExit) as exit_:
        parse(["--version"])
    assert exit_.value.code == 0
    assert capsys.readouterr().out.startswith("pyro_names ")
