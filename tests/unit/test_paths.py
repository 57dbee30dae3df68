"""Where a deployment's files are."""

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
    """A socket is never in a directory that others can write to."""
    paths = deployment_paths(None, None, {"XDG_STATE_HOME": "/home/u/.state"})
    assert paths.run == "/home/u/.state/pyroctl/default/run"
    assert paths.logs == "/home/u/.state/pyroctl/default/logs"
