"""`pyroctl top` with a real deployment, its keys pressed by textual's pilot."""

from __future__ import annotations

import os
import signal
import stat

import pytest

pytest.importorskip("textual", reason="pyroctl[tui] is not installed")

from tests.harness import eventually


def row_of(screen, name):
    """Return the row of a service in the overview; the first cell marks what is selected."""
    rows = (line for line in screen.text().splitlines() if line[2:].startswith(f"{name} "))
    return next(rows, "")


def test_the_overview_shows_what_runs_and_follows_what_happens(kitchen, look):
    """A killed service is seen to come back, with its restart counted; others stay as they are."""

    async def test(screen):
        text = await screen.until("hot oven")
        assert "pyroctl · kitchen @ lab1  ● live" in text
        assert "● running" in row_of(screen, "ns")
        assert "2 names" in row_of(screen, "ns")
        assert "■ stopped" in row_of(screen, "off")
        assert "disabled" in row_of(screen, "off")
        row = kitchen.service("oven")
        os.kill(row["pid"], signal.SIGKILL)
        await screen.until(lambda: f" {row['restarts'] + 1}  " in row_of(screen, "oven"))
        await screen.until(lambda: "● running" in row_of(screen, "oven"))
        await screen.until("! oven was restarted")
        assert "KILL" in screen.text()

    look(kitchen, test)


def test_a_stop_asks_with_the_cost_and_offers_the_handover(own_kitchen, look, subscribe):
    """The plain subscriber is named; a handover keeps it; n changes nothing; y stops."""
    subscribe(own_kitchen)

    async def test(screen):
        await screen.until("● running")
        pid = own_kitchen.service("es")["pid"]
        await screen.press("j", "x")
        text = await screen.until("Stop es?")
        assert "oven will stop, too: needs es" in text
        assert "lab.temperature" in text
        assert "Hand over instead" in text
        await screen.press("n")
        await screen.until(lambda: "Stop es?" not in screen.text())
        await screen.press("x")
        await screen.until("Stop es?")
        await screen.press("h")
        await screen.until("restarted: es")
        assert own_kitchen.service("es")["pid"] != pid
        assert own_kitchen.status("es")["services"][0]["es"]["subscribers"] == 1
        await screen.press("x")
        await screen.until("Stop es?")
        await screen.press("y")
        await screen.until(lambda: "■ stopped" in row_of(screen, "es"))
        assert "■ stopped" in row_of(screen, "oven")

    look(own_kitchen, test)


def test_several_services_are_started_and_restarted_at_once(kitchen, look):
    """Selected services are those that an action is about; what costs nothing is told."""

    async def test(screen):
        await screen.until("● running")
        await screen.press("G", "space", "k", "space")
        await screen.until("> off")
        assert "> oven" in screen.text()
        await screen.press("s")
        await screen.until("started: oven, off")
        await screen.until(lambda: "● running" in row_of(screen, "off"))
        await screen.press("r")
        text = await screen.until("Restart oven off?")
        assert "No client loses anything." in text
        await screen.press("y")
        await screen.until("restarted: oven, off")
        await screen.press("escape")
        await screen.until(lambda: "> off" not in screen.text())
        kitchen.run("stop", "off")

    look(kitchen, test)


def test_a_view_changes_nothing(kitchen, look):
    """With --view, keys that change something are refused, and the palette doesn't offer them."""

    async def test(screen):
        await screen.until("● running")
        await screen.press("j", "x")
        await screen.until("nothing can be changed here")
        assert "Stop es?" not in screen.text()
        titles = [each.title for each in screen.top.get_system_commands(screen.top.screen)]
        assert "Stop services" not in titles
        assert "Quit" in titles

    look(kitchen, test, view_only=True)


def test_a_service_has_a_screen_and_its_log_is_one_key_away(kitchen, look):
    """Enter opens the service, with its settings and last words, and then its log alone."""

    async def test(screen):
        await screen.until("hot oven")
        await screen.press("j", "j", "enter")
        await screen.until("needs         es")
        await screen.press("G")  # the others' tests may have left long logs, and many runs
        await screen.until("sleep 1000")
        await screen.until("pyroctl.toml:13")
        await screen.press("g", "enter")
        await screen.until("following")
        await screen.until("[pyroctl] running")
        assert "PYRO:" not in screen.text()  # other services' lines
        await screen.press("escape", "escape")
        await screen.until("TRAFFIC")

    look(kitchen, test)


def test_logs_are_merged_searched_and_followed(kitchen, look):
    """A filter searches the files; a bad pattern changes nothing; new lines come by themselves."""

    async def test(screen):
        await screen.until("hot oven")
        await screen.press("3")
        await screen.until("Pyro.EventService")
        assert "oven | hot oven" in screen.text()
        await screen.press("slash", *"(", "enter")
        await screen.until("is not a regular expression")
        await screen.press("slash", *"hot", "enter")
        await screen.until(lambda: "EventService" not in screen.text())
        await screen.until("oven | hot oven")
        before = screen.text().count("hot oven")
        os.kill(kitchen.service("oven")["pid"], signal.SIGKILL)
        await screen.until(lambda: screen.text().count("hot oven") == before + 1)
        await screen.press("t")
        assert "\n  oven | hot oven" in screen.text()
        await screen.press("escape")
        await screen.until("Pyro.EventService")

    look(kitchen, test)


def test_events_are_tapped_and_subjects_are_known_with_their_listeners(kitchen, look):
    """An event that somebody publishes by the keys is seen in the tap, and its subject counted."""

    async def test(screen):
        await screen.until("● running")
        await screen.press("4")
        await screen.until("pyroctl es listen")  # our own tap among the subscribers
        await screen.press("P", *"lab.x", "space", *"hello", "enter")
        await screen.until("published about lab.x")
        await screen.until("lab.x hello")
        await screen.press("p")
        await screen.until("PAUSED")
        kitchen.run("es", "publish", "lab.y", "unseen")
        await screen.until("paused, 1 passed")
        assert "unseen" not in screen.text()

    look(kitchen, test)
    eventually(lambda: not any("listen" in command for command in kitchen.processes().values()))


def test_topology_and_timeline_show_needs_and_what_has_happened(kitchen, look):
    """What needs a service that is down is marked; the timeline has each change of state."""

    async def test(screen):
        await screen.until("● running")
        await screen.press("5")
        text = await screen.until("└─ ns")
        assert "oven  ● running" in text
        await screen.press("6")
        text = await screen.until("oven  running")
        assert "es    starting" in text
        kitchen.run("stop", "oven")
        await screen.until("oven  stopped")
        kitchen.run("start", "oven")

    look(kitchen, test)


def test_a_manager_that_is_frozen_or_dead_is_told_and_comes_back(own_kitchen, look):
    """Meanwhile logs are shown; without a manager its services are known to be stopped."""

    async def test(screen):
        await screen.until("hot oven")
        pid = own_kitchen.manager_pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            text = await screen.until("does not answer")
            assert f"the manager (pid {pid}) does not answer, no news since" in text
            await screen.press("3")
            await screen.until("oven | hot oven")
        finally:
            os.kill(pid, signal.SIGCONT)
        await screen.until("● live")
        own_kitchen.kill_manager()
        await screen.until("no manager is running")
        await screen.press("1")
        await screen.until(lambda: "■ stopped" in row_of(screen, "oven"))
        own_kitchen.run("start")
        await screen.until("● live")
        await screen.until(lambda: "● running" in row_of(screen, "oven"))

    look(own_kitchen, test)


def test_start_starts_a_manager_if_there_is_none(own_kitchen, look):
    """Without any manager the services are shown as stopped, and s starts what is chosen."""
    own_kitchen.run("shutdown")

    async def test(screen):
        await screen.until("no manager is running")
        await screen.until("■ stopped")
        await screen.press("j", "s")
        await screen.until(lambda: "● running" in row_of(screen, "es"))
        assert "■ stopped" in row_of(screen, "oven")

    look(own_kitchen, test)


def test_the_configuration_is_checked_after_it_was_edited(own_kitchen, look, monkeypatch, tmp_path):
    """A fault is told with its place, a valid file can be applied at once."""
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho "$ADDED" >> "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(editor))

    async def test(screen):
        import contextlib

        monkeypatch.setattr(type(screen.top), "suspend", lambda _: contextlib.nullcontext())
        await screen.until("● running")
        monkeypatch.setenv("ADDED", "colour = 3")
        await screen.press("e")
        await screen.until("its configuration can't be used")
        config = own_kitchen.root / "pyroctl.toml"
        table = "[services.more]\nkind = 'command'"
        config.write_text(config.read_text().replace("colour = 3", table))
        monkeypatch.setenv("ADDED", 'command = ["sleep", "1000"]')
        await screen.press("e")
        text = await screen.until("Reload?")
        assert "more" in text
        await screen.press("y")
        await screen.until(lambda: "● running" in row_of(screen, "more"))

    look(own_kitchen, test)


def test_all_keys_are_in_the_help_and_the_palette(kitchen, look):
    """? lists the actions, and : finds them by their titles."""

    async def test(screen):
        await screen.until("● running")
        await screen.press("question_mark")
        text = await screen.until("handover")
        assert "Restart by handover" in text
        await screen.press("escape", "colon", *"sort by")
        await screen.until("Sort by the next column")
        await screen.press("enter")
        await screen.until("sorted by name")

    look(kitchen, test)
