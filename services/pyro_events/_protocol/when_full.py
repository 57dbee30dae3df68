"""What a subscriber may want to happen when its queue is full."""

from __future__ import annotations

from typing import Literal

WhenFull = Literal["block", "drop-oldest", "drop-newest", "disconnect"]
