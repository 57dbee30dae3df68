"""Injects faults into a deployment under load: `python -m tests.faults [--only TEXT] …`.

After each one everything has to be well again: no process is missing, left over, doubled or dead
and not reaped; the status is true; no event was lost or duplicated but those that their subscribers
were told of; memory and descriptors are back. Prints a table in Markdown, and exits with 1 if
something was not survived. A seed repeats the order, the moments and the bytes of a run.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import sys
from pathlib import Path

from tests.faults import fault
from tests.faults.catalogue import FAULTS
from tests.faults.private_mount import enter, small_disk
from tests.faults.run import Run, to_stderr


def main() -> int:
    """Run, print, and return whether all was survived."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--times", type=int, default=1, metavar="N", help="inject each fault N times")
    add("--seed", type=int, help="where chance begins; the default is another one each time")
    add("--only", action="append", default=[], metavar="TEXT", help="faults whose names have TEXT")
    add("--quick", action="store_true", help="only those that are in the normal suite")
    add("--json", type=Path, metavar="FILE", help="write the table there, too")
    add("--list", action="store_true", help="print the names of the faults")
    options = parser.parse_args()
    chosen = [
        each
        for each in FAULTS
        if (not options.only or any(text in each.name for text in options.only))
        and (each.quick or not options.quick)
    ]
    if options.list:
        print("\n".join(each.name for each in chosen))
        return 0
    private = enter()
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    to_stderr(f"SEED={seed}")
    for name in [name for name in os.environ if name.startswith("PYRO")]:
        del os.environ[name]
    logging.getLogger("pyro_events").setLevel(logging.ERROR)  # gaps are counted
    with small_disk(private=private) as directory:
        run = Run(directory, seed, to_stderr)
        try:
            run.play(chosen, options.times)
        except KeyboardInterrupt:
            to_stderr("interrupted: the table has what was injected by now")
    rows = list(run.rows.values())
    print(f"{fault.summary(rows)} SEED={seed}\n\n{fault.markdown(rows)}")
    if options.json:
        options.json.write_text(fault.as_json(seed, rows), encoding="utf-8")
    return int(any(row.survived != row.times for row in rows))


if __name__ == "__main__":
    sys.exit(main())
