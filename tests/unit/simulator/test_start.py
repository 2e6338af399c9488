"""Certificates and the command line."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure_simulator import __main__ as command
from azure_simulator import certs
from cryptography import x509

NAMES = ["azure-simulator.azure-simulator.svc", "127.0.0.1"]


def test_certificates_are_made_once(tmp_path: Path) -> None:
    assert certs.ensure(tmp_path, NAMES)
    before = (tmp_path / "tls.crt").read_bytes()
    assert not certs.ensure(tmp_path, NAMES)
    assert not certs.ensure(tmp_path, NAMES[:1])
    assert (tmp_path / "tls.crt").read_bytes() == before
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
    context = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    assert context.cert_store_stats()["x509_ca"] == 1
    leaf = x509.load_pem_x509_certificate(before)
    assert leaf.not_valid_before_utc < datetime.now(UTC) - timedelta(hours=23)


@pytest.mark.parametrize("damage", ["names", "key", "certificate", "missing", "authority"])
def test_certificates_are_made_anew_when_they_no_longer_do(tmp_path: Path, damage: str) -> None:
    certs.ensure(tmp_path, NAMES)
    names = NAMES
    if damage == "names":
        names = [*NAMES, "another.example"]
    elif damage == "missing":
        (tmp_path / "tls.key").unlink()
    elif damage == "authority":
        certs.ensure(tmp_path / "other", NAMES)
        (tmp_path / "ca.crt").write_bytes((tmp_path / "other" / "ca.crt").read_bytes())
    elif damage == "key":
        certs.ensure(tmp_path / "other", NAMES)
        (tmp_path / "tls.key").write_bytes((tmp_path / "other" / "tls.key").read_bytes())
    else:
        (tmp_path / "tls.crt").write_text("no certificate")
    assert certs.ensure(tmp_path, names)
    assert not certs.ensure(tmp_path, names)


def test_options_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a2V5\n")
    for name, value in {
        "TIME_SCALE": "60",
        "STORAGE_ACCOUNT": "imports:rg:westeurope, images:rg:eastus",
        "RESOURCE_GROUP": "rg:westeurope,other:eastus",
        "ACCOUNT_KEY_FILE": str(tmp_path / "key"),
        "NO_THROTTLE": "true",
        "BLOB_CONTAINER": "vhds",
    }.items():
        monkeypatch.setenv(f"AZURE_SIMULATOR_{name}", value)
    parser = command._parser()
    options = parser.parse_args(["serve", *command._from_environment(parser), "--time-scale", "5"])
    config = command._config(options)
    assert config.time_scale == 5  # the command line wins
    assert [account.name for account in config.accounts] == ["imports", "images"]
    assert config.groups == {"rg": "westeurope", "other": "eastus"}
    assert (config.account_key, config.throttle, config.containers) == ("a2V5", False, ("vhds",))
    assert "a2V5" not in repr(config)


def test_help_and_missing_certificate(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["serve", "--help"])
    assert "--time-scale" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="--self-signed"):
        command._context(command._parser().parse_args(["serve"]))
