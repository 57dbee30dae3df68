"""Where a deployment's files are."""

import os

from pyroctl.paths import deployment_paths


def test_a_root_holds_everything() -> None:
    """With --root, all files of the deployment are below it."""
    paths = deployment_paths("/etc/lab.toml", "/srv/lab", {"XDG_RUNTIME_DIR": "/run/user/7"})
    assert {paths.socket, paths.lock, paths.notify} == {
        *("/srv/lab/run/control.sock", "/srv/lab/state/manager.lock", "/srv/lab/run/notify")
    }
    assert paths.service_log("es") == "/srv/lab/logs/es.log"


def test_files_of_the_same_name_are_different_deployments() -> None:
    """Two files called lab.toml do not share a socket."""
    env = {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/home/u/.state"}
    one, other = (deployment_paths(f"/labs/{n}/lab.toml", None, env) for n in "ab")
    assert one.run != other.run
    assert one.logs != other.logs
    assert one.run.startswith("/run/user/7/pyroctl/lab-")


def test_without_a_runtime_directory_the_state_directory_serves() -> None:
    """A socket is never in a directory that other users can write to."""
    paths = deployment_paths(None, None, {"XDG_STATE_HOME": "/home/u/.state"})
    assert paths.run == "/home/u/.state/pyroctl/default/run"
    assert paths.logs == "/home/u/.state/pyroctl/default/logs"


def test_what_must_survive_is_not_in_the_runtime_directory() -> None:
    """Locks, descriptor store and the services' state are where nobody cleans."""
    env = {"XDG_RUNTIME_DIR": "/run/user/7", "XDG_STATE_HOME": "/home/u/.state"}
    paths = deployment_paths(None, None, env)
    kept = (paths.lock, paths.cleanup_lock, paths.fdstore_lock, paths.fdstore_socket)
    for path in (*kept, paths.service_state("es")):
        assert path.startswith("/home/u/.state/pyroctl/default/")
    assert paths.socket == "/run/user/7/pyroctl/default/control.sock"


def test_a_path_too_long_for_a_socket_gets_a_short_one() -> None:
    """It is in the user's runtime directory, or below /tmp, and different for each root."""
    long = "/srv/" + "x" * 100
    inside = deployment_paths(None, long, {"XDG_RUNTIME_DIR": "/run/user/7"})
    assert inside.run.startswith("/run/user/7/pyroctl/")
    assert inside.logs == f"{long}/logs"
    for env in ({}, {"XDG_RUNTIME_DIR": long}):
        below_tmp = [deployment_paths(None, long + end, env) for end in "ab"]
        for paths in below_tmp:
            assert os.path.dirname(paths.run) == f"/tmp/pyroctl-{os.geteuid()}"  # noqa: PTH120
            assert len(paths.socket) < 108
        assert below_tmp[0].run != below_tmp[1].run
    assert deployment_paths(None, "/srv/lab", {}).run == "/srv/lab/run"
