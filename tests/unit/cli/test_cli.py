"""The command line: help, mistakes, and what reaches the operator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gallery_operator import cli
from gallery_operator.handlers import app
from gallery_operator.handlers.app import Options

ROOT = Path(__file__).parents[3]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """What the operator would have been started with; a clean environment."""
    found: list[Options] = []

    def main(options: Options) -> int:
        found.append(options)
        return 0

    monkeypatch.setattr(app, "main", main)
    monkeypatch.setattr("gallery_operator.runtime.logs.configure", lambda *_: None)
    for name in ("POD_NAMESPACE", "POD_ID", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return found


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["worker", "--help"], ["--version"]])
def test_help_ends_well(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 0
    assert "gallery-operator" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["dance"], "dance"),
        (["run"], "--worker-image"),
        (["worker", "dance"], "dance"),
        (["run", "--worker-image", "x"], "--leader-election-namespace or POD_NAMESPACE"),
        (["run", "--worker-image", "x", "--cluster-name", "a b", "--no-leader-election"], "--cluster-name must be"),
        (["run", "--worker-image", "x", "--workers", "many"], "--workers"),
        (["run", "--worker-image", "x", "--log-level", "loud"], "--log-level"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str], words: str, started: list[Options], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert started == []


def test_bad_cloud_settings_are_named(
    started: list[Options], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AZURE_RESOURCE_MANAGER_ENDPOINT", "http://insecure")
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "--worker-image", "x", "--no-leader-election"])
    assert ended.value.code == 2
    assert "AZURE_RESOURCE_MANAGER_ENDPOINT must be" in capsys.readouterr().err


def test_arguments_reach_the_operator(started: list[Options], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.crt"
    bundle.write_text("PEM")
    environment: dict[str, Any] = {"POD_NAMESPACE": "op", "POD_ID": "op-1", "SSL_CERT_FILE": str(bundle)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name, raising=False)
    arguments = (
        "run --worker-image i --namespace a --namespace b --workers 3 --poll-seconds 1 --allowed-source-cidr 10.0.0.0/8"
    )
    assert cli.main([*arguments.split(), "--cluster-name", "prod"]) == 0
    (options,) = started
    assert options.namespaces == ("a", "b")
    assert (options.workers, options.reconcilers.poll_seconds, options.reconcilers.cluster) == (3, 1.0, "prod")
    assert options.lease is not None
    assert (options.lease.namespace, options.lease.identity) == ("op", "op-1")
    assert options.reconcilers.worker.allowed_cidrs == ("10.0.0.0/8",)
    assert options.reconcilers.worker.ca_pem == "PEM"
    assert options.reconcilers.default_credential is None
    assert "AZURE_TENANT_ID" in options.reconcilers.default_credential_problem


@pytest.mark.parametrize("job", ["prepare", "upload"])
def test_the_worker_loads_neither_the_operator_nor_what_only_that_uses(job: str, tmp_path: Path) -> None:
    code = (
        "import gc, sys, gallery_operator.cli\n"
        f"status = gallery_operator.cli.main(['worker', '{job}'])\n"
        "bad = {'kopf', 'kubernetes', 'azure.identity', 'azure.mgmt.compute', 'gallery_operator.reconcilers'}\n"
        "bad = (bad | {'aiohttp'}) & set(sys.modules)\n"
        "sys.exit(', '.join(bad) or (status, gc.isenabled(), 'gallery_operator.worker.target' in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "operator"), "TERMINATION_LOG": str(tmp_path / "log")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "(10, True, True)\n"
