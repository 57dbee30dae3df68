"""Keeps an event service busy for hours: `python -m benchmarks.events.soak --seconds 3600`.

Prints Markdown, and ends with 1 when a fact doesn't hold, or when it was cut short before anything
could be seen. Ctrl-C ends it early, with a summary. It takes about a fifth of one core.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from benchmarks.events.soak import chart, soak, verdict


def main() -> int:
    """Run, print, and return whether all was well."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.events.soak",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--seconds", type=_positive, default=3600.0, help="how long (default: %(default)g)")
    add(
        "--rate",
        type=_positive,
        default=30.0,
        help="healthy events a second (default: 30)",
    )
    add("--seed", type=int, default=1, help="another one, other lives (default: %(default)s)")
    add("--json", metavar="FILE", type=Path, help="write everything that was seen there")
    add("--plot", metavar="FILE", type=Path, help="draw rates, memory and descriptors there (SVG)")
    add("-q", "--quiet", action="store_true", help="no line for every sample")
    options = parser.parse_args()

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())

    def log(text: str) -> None:
        if not options.quiet:
            print(text, file=sys.stderr, flush=True)

    outcome = soak.run(soak.Plan(options.seconds, options.rate, options.seed), stop, log)
    print(verdict.markdown(outcome))
    if options.json:
        options.json.write_text(json.dumps(verdict.as_dict(outcome), indent=1), encoding="utf-8")
    if options.plot:
        title = f"{outcome.seconds / 3600:.1f} hours of mixed load, seed {outcome.plan.seed}"
        drawn = chart.draw(title, outcome.samples, verdict.facts(outcome))
        options.plot.write_text(drawn, encoding="utf-8")
    return int(any(fact.ok is False for fact in verdict.facts(outcome)))


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


if __name__ == "__main__":
    sys.exit(main())
