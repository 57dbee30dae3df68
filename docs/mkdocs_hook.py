"""A hook of MkDocs: pages made from files outside docs/, and the links to them.

The pages link to man pages, deployments and project files by their places in the repository, so
that the links also work where the repository is browsed. Here these files become part of the site.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

from pyro_child.options import declared
from pyro_events._broker.settings import BrokerOptions

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
MAN = "reference/man"
PROJECT = "project"
OUTSIDE = (
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "benchmarks/**/*.md",
    "benchmarks/events/systems/threads.py",
    "config/*.toml",
    "config/prometheus/*",
)
OPTIONS = "<!-- the options of an event service -->"
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)(#[^)\s]*)?\)")

SECTION = re.compile(r"^\.Sh (.+)\n((?:(?!\.Sh ).*\n?)*)|^.*\n", re.MULTILINE)
HEADING = re.compile(r"(</?h)([12])\b")
REFERENCE = re.compile(r'<a class="Xr" href="([^"]+)\.html">([^<]+)</a>')


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for every man page, and the files that pages link to."""
    for page in sorted((ROOT / "man").iterdir()):
        files.append(File.generated(config, f"{MAN}/{page.name}.md", content=_man(page)))
    for pattern in OUTSIDE:
        for path in sorted(ROOT.glob(pattern)):
            place = f"{PROJECT}/{path.relative_to(ROOT)}"
            files.append(File.generated(config, place, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links that leave docs/ to where their targets are in the site."""
    here = page.file.src_uri
    source = here.removeprefix(f"{PROJECT}/") if here.startswith(PROJECT) else f"docs/{here}"

    def place(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[1]))
        if target.startswith("man/"):
            target = f"{MAN}/{target.removeprefix('man/')}.md"
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            target = f"{PROJECT}/{target}"
        return f"]({posixpath.relpath(target, posixpath.dirname(here))}{link[2] or ''})"

    return LINK.sub(place, markdown).replace(OPTIONS, _options())


def _options() -> str:
    """Return a table of the options of an event service, made from their declarations."""
    rows = ["| argument | default | meaning |", "| --- | --- | --- |"]
    for each in declared(BrokerOptions):
        unit, text = each.metadata["unit"], each.metadata["text"].partition(" (default: ")
        default = text[2].removesuffix(")") or repr(each.default)
        if unit and unit.form == "04o":
            default = f"0o{each.default:o}"
        rows.append(f"| `{each.name}: {each.type}` | {default} | {text[0]} |")
    return "\n".join(rows)


def _man(page: Path) -> str:
    title = f"# {page.stem}({page.suffix[1:]})\n\n"
    if shutil.which("mandoc") is None:
        return title + SECTION.sub(_section, page.read_text(encoding="utf-8"))
    html = subprocess.run(
        ["mandoc", "-T", "html", "-O", "fragment,toc,man=%N.%S.html", page],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    html = HEADING.sub(lambda heading: f"{heading[1]}{int(heading[2]) + 1}", html)
    return f"{title}<div>\n{REFERENCE.sub(_reference, html)}</div>\n"


def _section(section: re.Match[str]) -> str:
    """Show a section in the language of man pages; leave out what comes before the first."""
    if section[1] is None:
        return ""
    anchor = section[1].replace(" ", "_")
    return f'<h2 id="{anchor}">{section[1]}</h2>\n\n```text\n{section[2]}```\n\n'


def _reference(link: re.Match[str]) -> str:
    """Leave out the link to a man page that isn't ours."""
    return link[0] if (ROOT / "man" / link[1]).exists() else f"<span>{link[2]}</span>"
