import pytest

from gallery_operator.azure.error_kinds import ErrorKind
from gallery_operator.azure.operations import Operations, OperationState, read_failure, read_state

KEY = ("fingerprint", "id", "write")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://management.azure.com/subscriptions/s/x?t=1&s=secret", True),
        ("https://westeurope.management.azure.com/x", True),
        ("https://MANAGEMENT.azure.com:443/x", True),
        ("http://management.azure.com/x", False),
        ("https://management.azure.com.evil.example/x", False),
        ("https://evilmanagement.azure.com/x", False),
        ("https://management.azure.com:444/x", False),
        ("https://user@evil/x", False),
        ("/relative", False),
        ("https://[", False),
        ("", False),
    ],
)
def test_a_token_goes_only_to_resource_manager(url: str, kept: bool) -> None:
    operations = Operations("https://management.azure.com")
    operations.remember(KEY, "x.put", {"Azure-AsyncOperation": url})
    running = operations.get(KEY)
    assert (running is not None) is kept
    assert "secret" not in repr(running)


def test_the_next_operation_replaces_the_one_before() -> None:
    operations = Operations("https://h")
    operations.remember(KEY, "x.put", {"azure-asyncoperation": "https://h/1", "Location": "https://h/2"})
    assert operations.get(KEY).url == "https://h/1"  # type: ignore[union-attr]
    operations.remember(KEY, "x.delete", {"Location": "https://h/3"})
    assert operations.get(KEY).url == "https://h/3"  # type: ignore[union-attr]
    operations.remember(KEY, "x.put", {})  # done at once
    assert operations.get(KEY) is None
    operations.forget(KEY)


@pytest.mark.parametrize(
    ("document", "state"),
    [
        ({"status": "InProgress"}, OperationState.RUNNING),
        ({"status": "Succeeded"}, OperationState.SUCCEEDED),
        ({"status": "Failed"}, OperationState.FAILED),
        ({"status": "Canceled"}, OperationState.FAILED),
        ({"status": "Strange"}, OperationState.RUNNING),
        ({}, OperationState.RUNNING),
        ([], OperationState.RUNNING),
    ],
)
def test_state(document: object, state: OperationState) -> None:
    assert read_state(document) is state


def test_failure_with_and_without_a_reason() -> None:
    bad = {"status": "Failed", "error": {"code": "InvalidVhd", "message": "no footer"}}
    error = read_failure(bad, "disks.revokeAccess")
    assert (error.kind, error.code, error.operation) == (ErrorKind.INVALID, "InvalidVhd", "disks.revokeAccess")
    silent = read_failure({"status": "Canceled"}, "x.put")
    assert silent.kind is ErrorKind.RETRY and silent.message
