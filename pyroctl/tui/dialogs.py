"""What is shown above a screen: a question, a text, and a place to type."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.text import Text
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static

from pyroctl.tui.line_list import LineList

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from pyroctl.view.lines import Line


class Choice(NamedTuple):
    """An answer to a question, by a button or a key."""

    key: str
    label: str


NO = Choice("n", "Cancel")


class Question(ModalScreen[str]):
    """Asks; the result is the key of the choice. Escape chooses the last one."""

    def __init__(self, title: str, lines: Sequence[str], choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._choices = choices

    def compose(self) -> ComposeResult:
        """Return the widgets; the last choice has the focus, as it changes nothing."""
        with Vertical():
            yield Static(Text(self._title, style="bold"))
            yield Static(Text("\n".join(self._lines)), classes="text")
            with Horizontal():
                for choice in self._choices:
                    label = Text(f"[{choice.key}] {choice.label}")
                    yield Button(label, id=f"choice-{choice.key}", compact=True)

    def on_mount(self) -> None:
        """Focus what changes nothing."""
        self.query_one(f"#choice-{self._choices[-1].key}", Button).focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Answer by the button."""
        self.dismiss((event.button.id or "").removeprefix("choice-"))

    def on_key(self, event: events.Key) -> None:
        """Answer by a key; arrows go from button to button."""
        if event.key == "escape":
            self.dismiss(self._choices[-1].key)
        elif event.key in {"left", "right"}:
            (self.focus_previous if event.key == "left" else self.focus_next)()
        elif event.key in {choice.key for choice in self._choices}:
            self.dismiss(event.key)
        else:
            return
        event.stop()


class Lines(ModalScreen[None]):
    """Shows a text; any of the usual keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss_now", "Close"),
        Binding("j,down", "move(1)", "Down"),
        Binding("k,up", "move(-1)", "Up"),
        Binding("pagedown,ctrl+d,space", "page(1)", "Page down"),
        Binding("pageup,ctrl+u", "page(-1)", "Page up"),
    ]

    def __init__(self, title: str, lines: Sequence[Line], *, wrap: bool = True) -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._list = LineList()
        self._list.wrap = wrap

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        with Vertical() as box:
            box.border_title = Text(self._title)
            yield self._list

    def on_mount(self) -> None:
        """Show the text."""
        self._list.focus()
        self._list.show(self._lines)

    def action_dismiss_now(self) -> None:
        """Close it."""
        self.dismiss()

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._list.move(by)

    def action_page(self, pages: int) -> None:
        """Move by pages."""
        self._list.page(pages)


class Prompt(ModalScreen[str | None]):
    """A line to type in at the bottom; the result is None if the user doesn't want to."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "give_up", "Cancel")]

    def __init__(self, label: str, value: str = "") -> None:
        super().__init__()
        self._label = label
        self._value = value

    def compose(self) -> ComposeResult:
        """Return the widgets."""
        with Horizontal():
            yield Static(Text(f"{self._label} ", style="bold"))
            yield Input(self._value, compact=True)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Return what was typed."""
        self.dismiss(event.value)

    def action_give_up(self) -> None:
        """Return nothing."""
        self.dismiss(None)
