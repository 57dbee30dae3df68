"""The design document names files that exist, and shows the lifecycle table as it is."""

from __future__ import annotations

import re
from pathlib import Path

from tools.lifecycle_table import DESIGN, update

ROOT = Path(__file__).parents[2]
TEXT = DESIGN.read_text(encoding="utf-8")
PLACEHOLDER = "NAME"


def test_every_file_that_it_names_exists() -> None:
    """A path may omit the package's folder; one that contains NAME stands for any file."""
    folders = ("pyroctl", "services", "tests", "tools")
    known = [f"/{p.relative_to(ROOT)}" for name in folders for p in (ROOT / name).rglob("*.py")]
    named = {name for name in re.findall(r"[\w./]+\.py\b", TEXT) if PLACEHOLDER not in name}
    assert len(named) > 80
    assert not {name for name in named if not any(p.endswith(f"/{name}") for p in known)}


def test_the_lifecycle_table_is_up_to_date() -> None:
    """If this fails, run `python tools/lifecycle_table.py`."""
    assert update(TEXT) == TEXT
