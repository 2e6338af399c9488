import pickle
from pathlib import Path

import pytest

from gallery_operator.azure.credentials import (
    ClientCertificate,
    ClientSecret,
    CredentialError,
    CredentialSpec,
    WorkloadIdentity,
)

CLIENT = "00000000-0000-0000-0000-000000000001"
SUBSCRIPTION = "00000000-0000-0000-0000-00000000000a"
CANARY = "C4nAryS3cret"
BASE = {"AZURE_TENANT_ID": b"contoso.onmicrosoft.com", "AZURE_CLIENT_ID": CLIENT.encode()}


def test_client_secret() -> None:
    spec = CredentialSpec.from_secret(
        {
            **BASE,
            "AZURE_CLIENT_SECRET": f"{CANARY}\n".encode(),
            "AZURE_SUBSCRIPTION_ID": f" {SUBSCRIPTION}\n".encode(),
            "other": b"\xff",
        }
    )
    assert isinstance(spec.proof, ClientSecret)
    assert spec.proof.secret.get_secret_value() == CANARY
    assert spec.subscription_id == SUBSCRIPTION
    assert CANARY not in f"{spec!r}{spec!s}{spec.proof!r}{spec.fingerprint}"


def test_client_certificate() -> None:
    spec = CredentialSpec.from_secret(
        {
            **BASE,
            "AZURE_CLIENT_CERTIFICATE": b"\x30\x82" + CANARY.encode(),
            "AZURE_CLIENT_CERTIFICATE_PASSWORD": CANARY.encode(),
        }
    )
    assert isinstance(spec.proof, ClientCertificate)
    assert spec.proof.certificate.get_secret_value().endswith(CANARY.encode())
    assert CANARY not in f"{spec!r}{spec.proof!r}"


def test_a_secret_may_not_name_a_file_of_the_operator() -> None:
    data = {**BASE, "AZURE_FEDERATED_TOKEN_FILE": b"/var/run/secrets/kubernetes.io/serviceaccount/token"}
    with pytest.raises(CredentialError, match="AZURE_CLIENT_SECRET"):
        CredentialSpec.from_secret(data)
    spec = CredentialSpec.from_secret(data, token_file=Path("/own/token"))
    assert spec.proof == WorkloadIdentity(Path("/own/token"))


def test_environment() -> None:
    env = {name: value.decode() for name, value in BASE.items()}
    injected = {**env, "AZURE_FEDERATED_TOKEN_FILE": "/token"}
    assert CredentialSpec.from_environment(injected).proof == WorkloadIdentity(Path("/token"))
    chosen = CredentialSpec.from_environment({**injected, "AZURE_CLIENT_SECRET": CANARY})
    assert isinstance(chosen.proof, ClientSecret)
    assert isinstance(CredentialSpec.from_environment({**injected, "AZURE_CLIENT_SECRET": " "}).proof, WorkloadIdentity)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"AZURE_TENANT_ID": None}, "AZURE_TENANT_ID is missing"),
        ({"AZURE_TENANT_ID": b" "}, "AZURE_TENANT_ID is missing or empty"),
        ({"AZURE_TENANT_ID": b"../" + CANARY.encode()}, "AZURE_TENANT_ID is not"),
        ({"AZURE_CLIENT_ID": CANARY.encode()}, "AZURE_CLIENT_ID is not a GUID"),
        ({"AZURE_CLIENT_ID": b"\xff" + CANARY.encode()}, "AZURE_CLIENT_ID is not UTF-8"),
        ({"AZURE_CLIENT_SECRET": None}, "neither AZURE_CLIENT_SECRET nor AZURE_CLIENT_CERTIFICATE"),
        ({"AZURE_CLIENT_CERTIFICATE": CANARY.encode()}, "both set"),
        ({"AZURE_SUBSCRIPTION_ID": CANARY.encode()}, "AZURE_SUBSCRIPTION_ID is not a GUID"),
    ],
)
def test_the_key_is_named_and_no_value(change: dict[str, bytes | None], key: str) -> None:
    data: dict[str, bytes | None] = {**BASE, "AZURE_CLIENT_SECRET": CANARY.encode(), **change}
    with pytest.raises(CredentialError, match=key) as caught:
        CredentialSpec.from_secret({name: value for name, value in data.items() if value is not None})
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None and (caught.value.__context__ is None or caught.value.__suppress_context__)


def test_fingerprint_follows_the_secret_and_nothing_else() -> None:
    one = CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_SECRET": b"a"})
    same = CredentialSpec.from_secret(
        {**BASE, "AZURE_CLIENT_SECRET": b"a", "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION.encode()}
    )
    rotated = CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_SECRET": b"b"})
    certificate = CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_CERTIFICATE": b"a"})
    workload = CredentialSpec.from_secret(BASE, token_file=Path("a"))
    assert one.fingerprint == same.fingerprint
    assert len({spec.fingerprint for spec in (one, rotated, certificate, workload)}) == 4
    assert CredentialSpec.from_secret({**BASE, "AZURE_CLIENT_SECRET": b"a"}) == one
    assert pickle.loads(pickle.dumps(one)) == one
