"""A chat: every room is a subject, and everyone in the room is subscribed to it.

    python chat.py ann                   # in the lobby, until Ctrl-D or /quit
    python chat.py bob --room kitchen

Each line that you type goes to the room that you joined last. /join ROOM, /leave [ROOM] and /quit
work as usual.
"""

import argparse
import contextlib
import os
import signal
import sys
import threading
import uuid

from pyro_events import Publisher, Subscriber
from pyro_events.errors import EventServiceError


class Chat(Subscriber):
    """One person, who listens in any number of rooms and talks in the one joined last."""

    def __init__(self, name, es, publisher, count):
        super().__init__(es, name=f"chat of {name}")
        self.person = {"name": name, "id": uuid.uuid4().hex}
        self.publisher = publisher
        self.left = count
        self.away = False
        self.rooms = []

    # What others see

    def say(self, room, kind, text=""):
        self.publisher.publish(f"chat.{room}", {"who": self.person, "kind": kind, "text": text})

    def join(self, room):
        if room not in self.rooms:
            self.subscribe(f"chat.{room}")
            self.rooms.append(room)
            self.say(room, "join")

    def leave(self, room):
        if room in self.rooms:
            self.say(room, "leave")
            self.unsubscribe(f"chat.{room}")
            self.rooms.remove(room)

    def quit(self):
        """Publish a goodbye to all rooms; receiving our own last one ends `listen`."""
        for room in self.rooms:
            self.say(room, "quit" if room == self.rooms[-1] else "leave")
        if not self.rooms:
            self.abort()

    # What we see

    def event(self, event):
        room, message = event.subject.removeprefix("chat."), event.msg
        name = message["who"]["name"]
        lines = {"join": f"* {name} is here", "say": f"{name}: {message['text']}"}
        print(f"[{room}] {lines.get(message['kind'], f'* {name} has left')}", flush=True)
        if message["kind"] == "quit" and message["who"] == self.person:
            self.abort()
        self.count_down()

    def disconnected(self, notice):
        self.away = True
        print(f"* The chat is gone ({notice['reason']}), waiting for it.", flush=True)

    def connected(self, notice):
        if self.away:
            print(f"* The chat is back ({notice['uri']}).", flush=True)
        self.away = False

    def gap(self, notice):
        print(f"* You may have missed something ({notice['reason']}).", flush=True)

    def count_down(self):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGINT)  # the main thread waits for input


def converse(chat):
    """Carry out each line, until the end of the input or /quit."""
    for line in sys.stdin:
        command, _, argument = line.strip().partition(" ")
        if command == "/quit":
            return
        if command == "/join":
            chat.join(argument.strip() or "lobby")
        elif command == "/leave":
            chat.leave(argument.strip() or chat.rooms[-1] if chat.rooms else "")
        elif command.startswith("/"):
            print("* /join ROOM, /leave [ROOM], /quit", flush=True)
        elif line.strip() and chat.rooms:
            chat.say(chat.rooms[-1], "say", line.strip())
        elif line.strip():
            print("* You are in no room; /join one first.", flush=True)


def main():
    options = parse_options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end on TERM as on Ctrl-C
    try:
        with (
            Publisher(options.es) as publisher,
            Chat(options.name, options.es, publisher, options.count) as chat,
        ):
            chat.join(options.room)
            listener = threading.Thread(target=chat.listen)
            listener.start()
            with contextlib.suppress(KeyboardInterrupt):
                converse(chat)
            chat.quit()
            listener.join(timeout=5)
        print("Goodbye.")
    except KeyboardInterrupt:
        print("Goodbye.")  # it came before the chat began, or after its end
    except EventServiceError as error:
        sys.exit(f"No event service: {error}")


def parse_options():
    parser = argparse.ArgumentParser(description="Chat in rooms.")
    parser.add_argument("name", help="your name in the chat")
    parser.add_argument("--room", default="lobby", help="where to begin (default: %(default)s)")
    parser.add_argument(
        "--es", metavar="URI", help="the event service (default: ask a name server)"
    )
    parser.add_argument("--ns", metavar="HOST:PORT", help="the name server to ask")
    parser.add_argument("--count", type=int, metavar="N", help="end after N messages")
    options = parser.parse_args()
    if options.ns:
        options.es = f"PYRONAME:Pyro.EventService@{options.ns}"
    return options


if __name__ == "__main__":
    main()
