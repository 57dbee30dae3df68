"""Several instances of a service: expansion, and what a name means."""

from __future__ import annotations

from pyroctl.config.load import load
from pyroctl.core.instances import collapse, expand, meant, members
from pyroctl.core.spec import CommandOptions, ObjectOptions, ServiceSpec
from pyroctl.kinds import LaunchContext, launch

NS = ServiceSpec("ns", CommandOptions(("ns",)))
WORKER = ServiceSpec("worker", ObjectOptions("m:C", pyro_name="lab.worker"), needs=("ns",))
FEED = ServiceSpec("feed", CommandOptions(("feed",)), needs=("worker", "ns"))
SERVICES = {spec.name: spec for spec in (NS, WORKER, FEED)}


def test_each_instance_is_a_service_of_its_own():
    """Name, registered name and number differ; a service that needs one needs all of them."""
    found = expand(SERVICES, {"worker": 2})
    assert list(found) == ["ns", "worker@1", "worker@2", "feed"]
    first, second = found["worker@1"], found["worker@2"]
    assert (first.instance, second.instance) == (1, 2)
    assert isinstance(second.options, ObjectOptions)
    assert second.options.pyro_name == "lab.worker.2"
    assert (first.needs, found["feed"].needs) == (("ns",), ("worker@1", "worker@2", "ns"))


def test_one_instance_has_a_number_too():
    """This way the first keeps its name, state and log when a second one is added."""
    assert list(expand(SERVICES, {"worker": 1})) == ["ns", "worker@1", "feed"]


def test_without_a_count_nothing_changes():
    """A service without `instances` is a single one, without a number."""
    assert expand(SERVICES, {}) == SERVICES


def test_collapse_undoes_expand():
    """`show` prints the service as it was written."""
    counts = {"worker": 12, "feed": 1}
    collapsed = collapse(expand(SERVICES, counts))
    assert {name: spec for name, (spec, _) in collapsed.items()} == SERVICES
    assert {name: count for name, (_, count) in collapsed.items()} == {"ns": None, **counts}


def test_a_name_means_itself_or_all_instances():
    """`worker` is all, `worker@2` one; what is unknown stays as it is, once."""
    known = expand(SERVICES, {"worker": 2})
    assert members("worker", known) == ["worker@1", "worker@2"]
    assert members("work", known) == []
    assert meant(["worker@2", "worker", "nobody"], known) == ["worker@2", "worker@1", "nobody"]


def test_each_process_knows_its_number(tmp_path):
    """PYROCTL_SERVICE has the instance's name, PYROCTL_INSTANCE its number."""
    file = tmp_path / "pyroctl.toml"
    file.write_text('[services.w]\nkind = "command"\ncommand = "work"\ninstances = 2\n')
    services = load(str(file), {}, "/").deployment.services
    where = LaunchContext("lab", "/", "python", {"PYROCTL_INSTANCE": "7"})
    envs = [launch(spec, where).env for spec in services.values()]
    assert [env["PYROCTL_SERVICE"] for env in envs] == ["w@1", "w@2"]
    assert [env["PYROCTL_INSTANCE"] for env in envs] == ["1", "2"]
    assert "PYROCTL_INSTANCE" not in launch(NS, where).env


def test_the_names_of_instances_are_completed(tmp_path):
    """Completion knows them from the configuration."""
    import click

    from pyroctl.cli.app import App
    from pyroctl.cli.arguments import ServiceName

    file = tmp_path / "pyroctl.toml"
    file.write_text("[services.w]\ninstances = 2\n[services.other]\n")
    context = click.Context(click.Command("start"), obj=App())
    context.obj.config_option = str(file)
    found = ServiceName().shell_complete(context, click.Argument(["services"]), "w")
    assert [item.value for item in found] == ["w", "w@1", "w@2"]
