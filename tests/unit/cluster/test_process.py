"""Which process is which."""

import signal
import subprocess
from dataclasses import replace
from pathlib import Path

from hack.localcluster.process import Identity, Record, write_private


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "600"])


def identity_of(process: "subprocess.Popen[bytes]") -> Identity:
    identity = Identity.of(process.pid)
    assert identity is not None
    return identity


def test_a_process_is_alive_until_it_is_killed() -> None:
    with sleeper() as process:
        identity = identity_of(process)
        assert identity.alive()
        identity.kill(signal.SIGKILL)
        assert identity.wait(10)
        process.returncode = -9  # reaped by wait
        assert not identity.alive()
        assert Identity.of(process.pid) is None
        identity.kill(signal.SIGKILL)  # of no effect, and no error


def test_a_process_that_ended_but_was_not_waited_for_is_not_alive() -> None:
    with sleeper() as process:
        identity = identity_of(process)
        process.kill()
        assert identity.wait(10)
        process.returncode = -9


def test_another_process_with_the_same_id_is_not_touched() -> None:
    with sleeper() as process:
        identity = identity_of(process)
        for other in (replace(identity, start=identity.start + 1), replace(identity, boot="an earlier one")):
            assert not other.alive()
            other.kill(signal.SIGKILL)
        assert identity.alive()
        process.kill()


def test_a_name_with_parentheses_and_spaces_does_not_confuse(tmp_path: Path) -> None:
    program = tmp_path / "a) R (b"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        assert identity_of(process).alive()
        process.kill()


def test_record_survives_being_written(tmp_path: Path) -> None:
    path = tmp_path / "record"
    record = Record(Identity(1, 2, "boot"), "node", "digest", "10.0.0.1:6443")
    record.save(path)
    assert Record.load(path) == record


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    path = tmp_path / "record"
    assert Record.load(path) is None
    for text in ("", "{", "[]", '{"supervisor": {}}', '{"supervisor": {"pid": 1, "start": 1, "boot": "x"}}'):
        path.write_text(text)
        assert Record.load(path) is None


def test_private_files_stay_private_when_written_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("open to all")
    path.chmod(0o644)
    write_private(path, "closed")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("closed", 0o600)
