"""Which kind of cluster a command is about, and kind itself behind a stand-in that writes down what it is told."""

import threading
import time
from pathlib import Path

import pytest
from hack.localcluster import cli, kind, lifecycle
from hack.localcluster.errors import ClusterError
from hack.localcluster.instance import Instance
from hack.localcluster.process import Identity, Record

KIND = """\
#!/bin/sh
echo "$@" >>{log}
case "$1 $2" in
"get clusters") cat {folder}/known 2>/dev/null || echo "No kind clusters found." >&2 ;;
"create cluster") echo "$4" >{folder}/known ; echo private >"$6" ;;
"get kubeconfig") echo "current-context: kind-$4" ;;
"delete cluster") rm -f {folder}/known ;;
esac
"""


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance("demo", tmp_path)


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    log = tmp_path / "calls"
    script = tmp_path / "kind"
    script.write_text(KIND.format(log=log, folder=tmp_path))
    script.chmod(0o755)
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f'#!/bin/sh\necho kubectl "$@" >>{log}\n')
    kubectl.chmod(0o755)
    monkeypatch.setattr(kind, "tool", lambda name: tmp_path / name)
    return log


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GALLERY_OPERATOR_CLUSTER_PROVIDER", raising=False)


@pytest.mark.parametrize(("docker", "expected"), [(True, "kind"), (False, "node")])
def test_docker_decides(instance: Instance, monkeypatch: pytest.MonkeyPatch, docker: bool, expected: str) -> None:
    monkeypatch.setattr(kind, "docker_answers", lambda: docker)
    assert cli.provider(instance) == expected


def test_what_is_chosen_decides_over_docker(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "docker_answers", lambda: True)
    monkeypatch.setenv("GALLERY_OPERATOR_CLUSTER_PROVIDER", "node")
    assert cli.provider(instance) == "node"
    monkeypatch.setenv("GALLERY_OPERATOR_CLUSTER_PROVIDER", "minikube")
    with pytest.raises(ClusterError, match="'kind' or 'node'"):
        cli.provider(instance)


def test_what_made_the_cluster_decides_over_all(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "docker_answers", lambda: True)
    instance.state.mkdir(parents=True)
    Record(Identity(1, 1, "x"), lifecycle.CONTROL_PLANE, "", "127.0.0.1:1").save(instance.record)
    assert cli.provider(instance) == lifecycle.CONTROL_PLANE


def test_kind_comes_up_once_and_goes_away(instance: Instance, calls: Path) -> None:
    kind.up(instance)
    kind.up(instance)
    told = calls.read_text()
    assert told.count("create cluster --name demo") == 1
    assert "defaultVolumeType" in told
    # The context says what it is, and the kubeconfig is for its owner only.
    assert instance.kubeconfig.read_text() == "current-context: gallery-operator-local-demo\n"
    assert instance.kubeconfig.stat().st_mode & 0o777 == 0o600
    assert kind.exists(instance)
    kind.down(instance)
    assert not kind.exists(instance)
    assert not instance.state.exists()


def test_kind_loads_names_and_archives(instance: Instance, calls: Path, tmp_path: Path) -> None:
    archive = tmp_path / "image.tar"
    archive.touch()
    for what in ("gallery-operator", "localhost/x:dev", str(archive)):
        kind.load(instance, what)
    assert calls.read_text().splitlines() == [
        "load docker-image localhost/gallery-operator:dev --name demo",
        "load docker-image localhost/x:dev --name demo",
        f"load image-archive {archive} --name demo",
    ]


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a_b", "a.b", "a/b", "a" * 51])
def test_names_that_would_break_paths_or_host_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="GALLERY_OPERATOR_CLUSTER"):
        Instance(name, tmp_path)


def test_instances_of_two_caches_share_nothing_of_the_machine(tmp_path: Path) -> None:
    one, two = Instance("x", tmp_path / "one"), Instance("x", tmp_path / "two")
    assert one.link != two.link
    assert one.cgroup != two.cgroup
    assert len(one.link) <= 15


def test_no_cluster_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GALLERY_OPERATOR_CACHE", str(tmp_path))
    monkeypatch.setenv("GALLERY_OPERATOR_CLUSTER", "absent")
    monkeypatch.setenv("GALLERY_OPERATOR_CLUSTER_PROVIDER", "node")
    assert cli.main(["kubeconfig"]) == 1
    assert "no cluster 'absent'; 'hack/cluster up' starts one" in capsys.readouterr().err
    assert cli.main(["status"]) == 1
    assert cli.main(["load-image", "x"]) == 1
    assert "does not run" in capsys.readouterr().err
    assert not (tmp_path / "clusters/absent").exists()


def test_the_lock_holds_though_its_holders_remove_its_file(tmp_path: Path) -> None:
    instance = Instance("locked", tmp_path)
    inside = 0
    overlaps = []

    def work() -> None:
        nonlocal inside
        for _ in range(50):
            with instance.lock():
                inside += 1
                overlaps.append(inside)
                time.sleep(0)  # lets the others try
                inside -= 1
                instance.lock_file.unlink()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == [1] * 200
    assert not instance.lock_file.exists()
