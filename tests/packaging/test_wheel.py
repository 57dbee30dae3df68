"""The wheel: built from the tracked files, inspected, and installed alone in a fresh venv."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "pyroctl": ROOT / "pyroctl",
    "pyro_child": ROOT / "services" / "pyro_child",
    "pyro_events": ROOT / "services" / "pyro_events",
    "pyro_names": ROOT / "services" / "pyro_names",
    "pyro_host": ROOT / "services" / "pyro_host",
    "pyro_wire": ROOT / "services" / "pyro_wire",
}
SCRIPTS = {
    "pyroctl": "pyroctl.cli.main:entry",
    "es": "pyro_events._app.cli:entry",
    "pyro5-es": "pyro_events._app.cli:entry",
}
SHARED = {
    "man/man1/pyroctl.1",
    "man/man1/es.1",
    "man/man5/pyroctl.toml.5",
    "man/man7/pyro-events.7",
    "bash-completion/completions/pyroctl",
    "zsh/site-functions/_pyroctl",
    "fish/vendor_completions.d/pyroctl.fish",
}

pytestmark = pytest.mark.timeout(240)


def run(*argv, cwd, **environ):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(arg) for arg in argv],
        cwd=cwd,
        env=clean | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tracked_files():
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [Path(name) for name in listed if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build what a fresh clone would build."""
    clone, out = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("dist")
    for name in tracked_files():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, clone / name)
    build = ("-m", "build", "--wheel", "--no-isolation", "--outdir", out)
    run(sys.executable, *build, cwd=clone)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def content(wheel):
    """Return the text of every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def below(content, folder):
    """Return the names of the files in a folder of the wheel, without the folder."""
    return {name.partition(folder)[2] for name in content if folder in name}


def test_nothing_stray_is_at_the_top(content, wheel):
    """The wheel installs six packages, and no `tests` or `benchmarks` beside them."""
    release = "-".join(wheel.name.split("-")[:2])
    assert {name.partition("/")[0] for name in content} == {
        *PACKAGES,
        f"{release}.dist-info",
        f"{release}.data",
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_complete_and_marked_as_typed(content, package):
    """Every tracked file of it and nothing else is in the wheel."""
    folder = PACKAGES[package].relative_to(ROOT)
    tracked = {str(name.relative_to(folder)) for name in tracked_files() if folder in name.parents}
    in_wheel = {
        name.removeprefix(f"{package}/") for name in content if name.startswith(package + "/")
    }
    assert in_wheel == tracked
    assert {"__init__.py", "py.typed"} <= in_wheel


def test_man_pages_completions_and_examples_come_along(content):
    """Other files are installed where man, shells and users look for them."""
    examples = {f"pyroctl/{name}" for name in tracked_files() if name.parts[0] == "config"}
    assert examples
    assert below(content, ".data/data/share/") == SHARED | examples


def test_the_commands_are_there(content):
    """The wheel installs `pyroctl`, and the event service under both of its names."""
    (text,) = (text for name, text in content.items() if name.endswith("/entry_points.txt"))
    parser = configparser.ConfigParser()
    parser.read_string(text)
    assert parser.sections() == ["console_scripts"]
    assert dict(parser["console_scripts"]) == SCRIPTS


def test_the_metadata_has_licence_and_readme(content):
    """A package index shows them."""
    assert below(content, ".dist-info/licenses/") == {"LICENSE"}
    (text,) = (text for name, text in content.items() if name.endswith("/METADATA"))
    metadata = HeaderParser().parsestr(text)
    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "pyroctl start" in metadata.get_payload()


def test_installed_alone_it_runs(wheel, tmp_path):
    """In a fresh venv, far from the source tree, everything is found in the venv itself."""
    venv = tmp_path / "venv"
    python = venv / "bin" / "python"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=tmp_path)
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--quiet", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    # The dependencies come from here; a .pth within that folder (ours, too) isn't looked at.
    libraries = next((venv / "lib").iterdir()) / "site-packages"
    (libraries / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    version = wheel.name.split("-")[1]
    for script in SCRIPTS:
        assert version in run(venv / "bin" / script, "--version", cwd=tmp_path)
    for module in ("pyro_names", "pyro_events"):
        assert version in run(python, "-m", module, "--version", cwd=tmp_path)
    for package in PACKAGES:
        where = run(python, "-c", f"import {package} as p; print(p.__file__)", cwd=tmp_path)
        assert Path(where.strip()).is_relative_to(venv)
    for shared in SHARED:
        assert (venv / "share" / shared).is_file()
    run(venv / "bin" / "pyroctl", "--root", tmp_path / "root", "config", "check", cwd=tmp_path)
