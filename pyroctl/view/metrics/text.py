"""The text format that Prometheus reads (version 0.0.4). Pure.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyroctl.view.metrics.catalogue import CATALOGUE, HISTOGRAM

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[str, tuple[str, ...], Any]
"""A name of the catalogue, the values of its labels, and a number, or a histogram as measured."""


def render(samples: Iterable[Sample]) -> str:
    """Return samples as text, in the order of the catalogue; None stands for no sample."""
    by_name: dict[str, list[tuple[tuple[str, ...], Any]]] = {}
    for name, labels, value in samples:
        if value is not None:
            by_name.setdefault(name, []).append((labels, value))
    lines: list[str] = []
    for name, metric in CATALOGUE.items():
        if name not in by_name:
            continue
        lines += [f"# HELP {name} {_help(metric.help)}", f"# TYPE {name} {metric.kind}"]
        for values, value in by_name[name]:
            named = dict(zip(metric.labels, values, strict=True))
            if metric.kind == HISTOGRAM:
                lines += _histogram(name, named, value)
            else:
                lines.append(f"{name}{_labels(named)} {_number(value)}")
    return "".join(f"{line}\n" for line in lines)


def _histogram(name: str, labels: Mapping[str, str], value: Mapping[str, Any]) -> Iterable[str]:
    total = 0
    for bound, count in zip([*value["bounds"], None], value["counts"], strict=True):
        total += count
        le = "+Inf" if bound is None else _number(bound)
        yield f"{name}_bucket{_labels({**labels, 'le': le})} {total}"
    yield f"{name}_sum{_labels(labels)} {_number(value['sum'])}"
    yield f"{name}_count{_labels(labels)} {total}"


def _labels(labels: Mapping[str, str]) -> str:
    found = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{found}}}" if found else ""


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float | bool) -> str:
    return repr(float(value)) if isinstance(value, float) else str(int(value))
