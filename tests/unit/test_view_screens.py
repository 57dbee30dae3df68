"""What the screens of `pyroctl top` show, as values."""

from __future__ import annotations

from pyroctl.view import costs, details, notes, overview, relations
from pyroctl.view.recent import ALL, Recent
from pyroctl.view.sparkline import height, sparkline
from pyroctl.view.tree import tree


def row(name, state="running", **more):
    found = {
        "name": name, "kind": "command", "state": state, "pid": 1 if state == "running" else None,
        "uptime_s": 100.0 if state == "running" else None, "restarts": 0, "uri": None,
        "exit": None, "needs": [], "cpu_percent": None, "rss_bytes": None, "detail": "",
    }  # fmt: skip
    return found | more


def ended(text):
    return {"code": 1, "signal": None, "text": text, "time": "2026-01-01T00:00:00.000+00:00"}


def sample(*rows):
    return {"services": [{"rss_bytes": None, **entry} for entry in rows]}


def texts(lines):
    return [line.text for line in lines]


def test_a_plot_has_the_newest_value_at_the_right_and_nothing_for_what_is_not_known():
    assert sparkline([None, 0, 1, 2, 3, 4], 3) == "⠀⣠⣾"
    assert sparkline([], 2) == "⠀⠀"


def test_a_small_value_is_visible_and_a_fixed_top_keeps_small_loads_small():
    assert sparkline([1000, 1], 1) == "⣇"
    assert sparkline([1, 1], 1, highest=100) == "⣀"
    assert sparkline([1, 1], 1) == "⣿"


def test_the_height_of_a_plots_character_is_that_of_its_higher_column():
    plot = sparkline([0, 1, 2, 3, 4, 0], 3)
    assert [height(ord(each) - 0x2800) for each in plot] == [1, 3, 4]


def test_recent_values_are_kept_by_service_summed_and_bounded():
    recent = Recent(kept=3)
    for number in range(5):
        entries = [{"name": name, "rss_bytes": number} for name in ("a", "b")]
        recent.add(sample(*entries), {"a": {"cpu_percent": 1.5}})
    assert recent.of("a", "rss_bytes") == (2, 3, 4)
    assert recent.last(ALL, "rss_bytes") == 8
    assert recent.last(ALL, "cpu_percent") == 1.5


def test_series_of_a_removed_service_are_forgotten():
    recent = Recent()
    recent.add(sample({"name": "a"}, {"name": "b"}), {})
    recent.add(sample({"name": "b"}), {})
    assert list(recent.keys("a")) == []
    assert "rss_bytes" in recent.keys("b")


def test_p99_is_of_the_events_since_the_last_look():
    recent = Recent()

    def look(*counts):
        delivery = {"bounds": [0.001, 1.0], "counts": list(counts), "sum": 0}
        recent.add(sample({"name": "es", "es": {"queued": 0, "delivery": delivery}}), {})
        return recent.last("es", "p99")

    assert look(1000, 0, 0) is None  # there was no look before
    assert look(1000, 5, 0) == 1.0
    assert look(2000, 5, 0) == 0.001


def test_a_state_has_a_shape_and_a_word():
    shapes = {overview.state(row("a", state)).text for state in overview.SHAPES}
    assert len({text.split()[0] for text in shapes}) == len(overview.SHAPES)
    assert overview.state(row("a")).text == "● running"


def test_a_row_says_why_a_service_is_down_and_repeats_nothing():
    down = row("a", "backoff", exit=ended("exit code 1: no route"))
    cells = overview.cells(down, Recent(), "no route", ["a"])
    assert cells[-1].text == "exit code 1: no route"
    assert cells[-1].role == "error"
    disabled = overview.cells(row("a"), Recent(), "\x1b[31mhot\x1b[0m\x07", [])
    assert disabled[-1].text == "disabled · hot\\x07"


def test_troubles_are_what_is_down_and_what_was_restarted_lately():
    data = {
        "manager": {"pid": 1},
        "enabled": ["up", "down", "flaps", "starts", "stable"],
        "services": [
            row("up"),
            row("down", "failed", exit=ended("exit code 3")),
            row("flaps", restarts=4, uptime_s=2.0, exit=ended("signal 9")),
            row("starts", "starting"),
            row("stable", restarts=4, uptime_s=3600.0, exit=ended("signal 9")),
            row("disabled", "stopped"),
        ],
    }
    assert list(overview.troubles(data)) == [
        "down is failed: exit code 3",
        "flaps was restarted 4 times: signal 9",
    ]


def test_rows_are_sorted_by_a_column_and_what_has_no_value_comes_last():
    rows = [row("a", cpu_percent=1), row("b"), row("c", cpu_percent=9)]
    by = [field for _, field in overview.SORTS].index("cpu_percent")
    assert [each["name"] for each in overview.ordered(rows, by, backwards=False)] == list("acb")
    assert [each["name"] for each in overview.ordered(rows, by, backwards=True)] == list("cab")
    assert [each["name"] for each in overview.ordered(rows, 0, backwards=True)] == list("cba")


def test_needs_are_drawn_once_below_what_needs_them():
    rows = [row("ns"), row("es", needs=["ns"]), row("a", needs=["es"]), row("b", needs=["es"])]
    drawn = [f"{lead}{each['name']}{' again' * again}" for lead, each, again in tree(rows)]
    assert drawn == ["a", "└─ es", "   └─ ns", "b", "└─ es again"]


def test_what_needs_a_service_that_is_down_is_affected():
    rows = [row("ns"), row("es", "backoff", needs=["ns"]), row("a", needs=["es"]), row("b")]
    assert relations.affected(rows) == {"a": "es"}
    assert "affected: es is down" in "\n".join(texts(relations.topology(rows)))


def test_flow_says_who_publishes_what_and_who_hears_it():
    found = {
        "seconds": 2.0,
        "edges": [{"origin": "uid:0", "publisher": "oven", "subjects": "lab.t", "count": 20}],
    }
    heard = [
        {"subscriber": "PYRO:x@h:1", "subjects": ["lab.t"], "patterns": ["^a\x1b"], "aware": False,
         "state": "connected", "queued": 3, "dropped": 0},
    ]  # fmt: skip
    assert texts(relations.flow("es", found, heard))[2:] == [
        "  oven (uid:0) → lab.t  10/s",
        "  lab.t, /^a\\x1b/ → PYRO:x@h:1  connected, plain, 3 queued",
    ]


def test_details_name_needs_in_both_directions():
    rows = [row("ns"), row("es", needs=["ns"]), row("a", needs=["es"])]
    lines = texts(details.details(rows[1], rows, ["es"]))
    assert [line.split() for line in lines[-2:]] == [["needs", "ns"], ["needed", "by", "a"]]


def test_settings_are_those_that_somebody_has_written_and_the_number_of_defaults():
    shown = [
        'services.a.command = "x"    # /etc/p.toml:3',
        "services.a.umask = 18    # default",
        "services.ab.umask = 18    # default",
    ]
    assert texts(details.settings("a@2", shown)) == [
        "configuration",
        '  command = "x"    # /etc/p.toml:3',
        "  and 1 defaults: pyroctl config show --origin",
    ]


def test_notes_of_the_manager_are_told_from_a_services_own_lines():
    assert notes.is_note("[pyroctl] backoff: exit code 1")
    assert not notes.is_note("he said [pyroctl] running")
    assert notes.role_of("[pyroctl] backoff: exit code 1") == "backoff"
    assert notes.role_of("[pyroctl] process 7 takes over from 6") == ""
    line = notes.entry("2026-01-02T03:04:05.678+01:00", "es", "[pyroctl] failed: x", 4)
    assert line.text == "2026-01-02 03:04:05  es    failed: x"


def test_a_stop_also_stops_what_runs_and_needs_the_services():
    rows = [
        row("ns"),
        row("es", needs=["ns"]),
        row("a", needs=["es"]),
        row("b", "failed", needs=["es"]),
    ]
    assert costs.also_stopped(["es"], rows) == ["a"]
    assert costs.also_stopped(["a"], rows) == []
