"""Measures the event service and its rivals: `python -m benchmarks.events`.

Prints Markdown. See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.events import machine, plot, report
from benchmarks.events.runs import FULL, QUICK, Runs


def main() -> None:
    """Measure, print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.events", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="about 3 minutes instead of 15, and less exact")
    add("--rounds", type=int, metavar="N", help="how often each thing is measured")
    add("--only", metavar="NAMES", help="only these systems, separated by commas")
    add("--json", metavar="FILE", type=Path, help="write the figures there")
    add("--svg", metavar="FILE", type=Path, help="draw a plot of the rates there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # lets every context end its programs
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    only = set(options.only.split(",")) if options.only else None
    size = QUICK if options.quick else FULL
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    runs = Runs(size, only, lambda text: print(text, file=sys.stderr))
    began = time.monotonic()
    results = runs.run()
    cores = len(os.sched_getaffinity(0))
    print(
        f"{runs.size.rounds} interleaved rounds, medians; Python {platform.python_version()}, "
        f"{cores} cores ({machine.processor()}), Linux {platform.release()}, "
        f"{(time.monotonic() - began) / 60:.0f} minutes\n\n{machine.versions()}\n"
    )
    print(report.everything(results))
    if options.json:
        options.json.write_text(json.dumps(results.as_dict(), indent=1), encoding="utf-8")
    if options.svg:
        options.svg.write_text(plot.draw(results), encoding="utf-8")


if __name__ == "__main__":
    main()
