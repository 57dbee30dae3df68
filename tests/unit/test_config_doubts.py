"""What is valid in a configuration and can't be meant: open services, rules that match nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pyroctl.config.load import load
from pyroctl.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

NS = '[services.s]\nkind = "nameserver"\n'
ES = '[services.s]\nkind = "eventservice"\n'
OBJECT = '[services.s]\nkind = "object"\nobject = "os:getcwd"\ninstances = 2\n'
CERTIFICATE = 'tls_certificate = "cert.pem"\n'
PYRO5_TLS = 'ssl_servercert = "cert.pem"\nssl_requireclientcert = '


def doubts(directory: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    """Return the warnings about a file, without its name; with `environ` about the machine, too."""
    file = directory / "pyroctl.toml"
    file.write_text(text)
    found = load(str(file), {}, "/").doubtful(environ)
    return [str(each).removeprefix(f"{file}:") for each in found]


def rules(*clients: str) -> str:
    return "".join(f"[[services.s.allow]]\nclient = [{each}]\n" for each in clients)


@pytest.mark.parametrize(
    ("text", "is_open"),
    [
        (NS, False),
        (NS + 'host = "127.8.8.8"\n', False),
        (NS + 'host = "::1"\n', False),
        (NS + 'host = "0.0.0.0"\n', True),
        (NS + 'host = "lab-pc"\n', True),
        (NS + 'host = "lab-pc"\ntls = "both"\n' + CERTIFICATE, True),
        (NS + 'host = "lab-pc"\ntls = "required"\n' + CERTIFICATE, False),
        (ES + 'host = "./u:es.sock"\n', False),
        (ES + 'host = "::"\n', True),
        (ES + 'host = "::"\nident_file = "es.secret"\n', False),
        (ES + 'host = "::"\ntls = "required"\n' + CERTIFICATE, False),
        (OBJECT + 'host = "10.0.0.1"\n', True),
        (OBJECT + 'host = "10.0.0.1"\n' + PYRO5_TLS + "false\n", True),
        (OBJECT + 'host = "10.0.0.1"\n' + PYRO5_TLS + "true\n", False),
        ('[services.s]\nkind = "command"\ncommand = "x --host 0.0.0.0"\n', False),
    ],
)
def test_what_anybody_on_the_network_can_use(tmp_path: Path, text: str, is_open: bool) -> None:
    """It is a warning, once for all instances, and with `strict` an error, at the host."""
    found = doubts(tmp_path, text)
    assert ["whoever reaches" in each for each in found] == [True] * is_open
    strict = tmp_path / "strict.toml"
    strict.write_text("[manager]\nstrict = true\n" + text)
    if not is_open:
        assert load(str(strict), {}, "/").doubtful(None) == []
        return
    with pytest.raises(ConfigError) as caught:
        load(str(strict), {}, "/")
    (error,) = caught.value.diagnostics
    assert (error.key, error.service) == ("services.s.host", "s")


@pytest.mark.parametrize(
    ("options", "clients", "nobody"),
    [
        ("", ('"anyone"', '"uid:7"'), 'rule 1 is for "anyone", and the first one decides'),
        ("", ('"uid:7"', '"uid:8", "uid:7"'), 'rule 1 is for "uid:7", and the first one decides'),
        ("", ('"uid:7"', '"uid:8"', '"anyone"'), None),
        ("", ('"camera-*"',), "without tls or ident_file, clients have no names"),
        ("", ('"127.0.0.1"',), "clients on this machine are users"),
        ("", ('"10.0.0.0/8"',), "clients on this machine are users"),
        ('host = "0.0.0.0"\n', ('"127.0.0.0/8"',), "clients on this machine are users"),
        ('host = "0.0.0.0"\n', ('"10.0.0.0/8"', '"10.1.0.0/16"'), 'rule 1 is for "10.0.0.0/8"'),
        ('host = "0.0.0.0"\n', ('"10.1.0.0/16"', '"10.0.0.0/8"', '"::/0"'), None),
        ('ident_file = "f"\n', ('"cam*"', '"cam-1"'), 'rule 1 is for "cam*"'),
        ('ident_file = "f"\n', ('"cam*"', '"cam-*"'), 'rule 1 is for "cam*"'),
        ('ident_file = "f"\n', ('"cam-?"', '"cam-*"', '"[c]am-1x"'), None),
        ('tls = "required"\n', ('"uid:7"',), 'with tls = "required", clients have the names'),
        ('tls = "both"\n', ('"uid:7"', '"camera"'), None),
    ],
)
def test_rules_that_match_nobody(
    tmp_path: Path, options: str, clients: tuple[str, ...], nobody: str | None
) -> None:
    """Because an earlier rule decides, or because no client can be that."""
    found = [each for each in doubts(tmp_path, ES + options + rules(*clients)) if "rule" in each]
    if nobody is None:
        assert found == []
    else:
        (line,) = found
        assert f"in rule {len(clients)} matches nobody: {nobody}" in line
        last = (ES + options + rules(*clients)).count("\n")
        assert line.startswith(f"{last}:1: services.s.allow[{len(clients) - 1}].client: ")


def test_names_that_no_file_has(tmp_path: Path) -> None:
    """Of secrets and of keys; there is no warning if a file is unknown or can't be read."""
    (tmp_path / "secrets").write_text("camera-1 abc\nshared\n")
    issued = tmp_path / "certs" / "issued" / "es"
    issued.mkdir(parents=True)
    rule = rules('"camera-1", "camrea-1", "table*", "dolly"')
    ident = ES + 'ident_file = "secrets"\n'
    tls = ident + 'tls = "both"\ntls_certificate = "certs/issued/es/cert.pem"\n'

    def unknown(text: str) -> list[str]:
        found = [each for each in doubts(tmp_path, text + rule, {}) if "matches nobody" in each]
        return [each.split('"')[1] for each in found]

    assert unknown(ident) == ["camrea-1", "table*", "dolly"]
    assert unknown(tls) == []  # without clients.toml, any name is good
    (tmp_path / "certs" / "clients.toml").write_text('[clients]\ntablet = "12ab"\n')
    assert unknown(tls) == ["camrea-1", "dolly"]
    (tmp_path / "secrets").unlink()
    assert unknown(tls) == []


def test_users_who_have_the_names_of_their_secrets(tmp_path: Path) -> None:
    """Where every secret has a name, no rule is for users or addresses; one without is enough."""
    text = ES + 'host = "0.0.0.0"\nident_file = "secrets"\n' + rules('"uid:7", "10.0.0.1", "a"')
    (tmp_path / "secrets").write_text("a abc\n\nb def\n")
    found = [each for each in doubts(tmp_path, text, {}) if "matches nobody" in each]
    assert [each.split('"')[1] for each in found] == ["uid:7", "10.0.0.1"]
    assert all("each secret in ident_file has a name" in each for each in found)
    (tmp_path / "secrets").write_text("a abc\nshared\n")
    assert not [each for each in doubts(tmp_path, text, {}) if "matches nobody" in each]


def test_no_tls_goes_with_a_certificate_of_pyro5(tmp_path: Path) -> None:
    """The default may be written, as `config show` does; two kinds of TLS are an error."""
    text = OBJECT + 'ssl_servercert = "cert.pem"\ntls = '
    assert doubts(tmp_path, text + '"off"\n') == []
    with pytest.raises(ConfigError) as caught:
        doubts(tmp_path, text + '"both"\n')
    assert "got both" in str(caught.value.diagnostics[0])
