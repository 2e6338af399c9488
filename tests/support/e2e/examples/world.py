"""What the examples name and do not make: it exists before they are applied, under the names in them."""

from __future__ import annotations

import base64
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pysequoia import SignatureMode, Tsk
from pysequoia import sign as openpgp_sign
from tests.support.e2e import disks, names
from tests.support.e2e.cluster import Cluster
from tests.support.e2e.examples.manifests import BLOBS, NAMESPACES
from tests.support.e2e.install import namespace
from tests.support.e2e.sandbox import LOCATION, Sandbox

Json = dict[str, Any]
OURS = f"/subscriptions/{names.SUBSCRIPTION}"
OTHERS = "/subscriptions/00000000-0000-0000-0000-000000000002"
COMPUTE = f"{OURS}/resourceGroups/rg-images/providers/Microsoft.Compute"
BUILDS = f"{OTHERS}/resourceGroups/rg-builds/providers/Microsoft.Compute"
COMMUNITY = "debian-1a2b3c4d-0000-0000-0000-000000000000"
RETAINED = {
    **{f"{COMPUTE}/disks/{name}": "2025-01-02" for name in ("debian-12", "reference-data", "database")},
    f"{COMPUTE}/galleries/handmade": "2025-03-03",
}
"""What outlives the examples that make it, because they say so; with the API version that deletes it."""
_API = "api-version=2025-03-03"
_GROUP_API = "api-version=2021-04-01"
_MORE_DISKS = ("debian-12-specialized.vhd", "debian-12-gen1-mbr.vhd")


def prepare(sandbox: Sandbox) -> dict[str, str]:
    """Make everything; returns the checksums of what the web server of the examples serves, by file name."""
    cluster = sandbox.cluster
    sandbox.claim("build-output")
    with ThreadPoolExecutor(4) as pool:
        claim = pool.submit(_fill, sandbox)
        azure = pool.submit(_azure, cluster)
        blob = pool.submit(_blob, cluster)
        sums = _files(cluster)
        key = sign(cluster, sums)
        azure.result()
        blob.result()
        claim.result()
    for name in sorted(set(NAMESPACES.values())):
        cluster.kube.apply(namespace(name, **{names.SANDBOX_LABEL: "scenario"}))
    sandbox.secret("uefi-keys", {"pk.pem": certificate("platform key")})
    _logins(sandbox)
    hashed = hashlib.sha256(b"a boot loader with a hole").hexdigest()
    sandbox.configmap("uefi-keys", {"db.pem": certificate("boot loaders"), "dbx.txt": f"{hashed}\n"})
    sandbox.configmap("publisher-keys", {"images.asc": key})
    return sums


def sign(cluster: Cluster, sums: dict[str, str]) -> str:
    """Let the disk server serve a list of the files' checksums with a signature; returns the armoured public key."""
    secret = Tsk.generate(user_id="Images <images@example.org>")
    text = "".join(f"{checksum.removeprefix('sha256:')} *{name}\n" for name, checksum in sums.items())
    signature = openpgp_sign(secret.signer(), text.encode(), mode=SignatureMode.DETACHED).decode()
    program = (
        "import json, pathlib, sys\nfor n, t in json.load(sys.stdin).items(): pathlib.Path('/data', n).write_text(t)"
    )
    served = json.dumps({"SHA256SUMS": text, "SHA256SUMS.asc": signature})
    disks.inside(cluster.kube, "python3", "-c", program, stdin=served.encode())
    return str(secret.extract_certificate())


def _logins(sandbox: Sandbox) -> None:
    """Secrets for the registry and the object storage, both of which are the disk server."""
    password = sandbox.canary("registry")
    login = {"auths": {names.EXAMPLES_HOST: {"username": "puller", "password": password}}}
    sandbox.secret("registry-login", {".dockerconfigjson": json.dumps(login)})
    key = sandbox.canary("bucket")
    sandbox.secret("bucket-keys", {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": key})
    for secret in (password, key):
        disks.accept_token(sandbox.cluster.kube, secret)


def arm(cluster: Cluster, *steps: tuple[str, str, Json | None]) -> list[Json]:
    """Send requests to ARM as somebody else would, in order, each change awaited; returns the answers.

    Args:
        cluster: Where the simulator is.
        steps: Method, path with its query, body.
    """
    authority = cluster.kube.get("ConfigMap", names.SIMULATOR_NAMESPACE, "azure-simulator-ca")
    assert authority is not None
    order = {
        "endpoint": f"https://azure-simulator.{names.SIMULATOR_NAMESPACE}.svc",
        "tenant": names.TENANT,
        "authority": authority["data"]["ca.crt"],
        "steps": steps,
    }
    program = (Path(__file__).parent / "armclient.py").read_text()
    answers: list[Json] = json.loads(
        disks.inside(cluster.kube, "python3", "-c", program, stdin=json.dumps(order).encode())
    )
    return answers


def remove_retained(cluster: Cluster) -> None:
    """Delete what examples leave on purpose, and the gallery of others: another test needs all that Azure allows."""
    galleries = {f"{COMPUTE}/galleries/terraformed": "2025-03-03"}
    every = (RETAINED | galleries).items()
    found = {each: version for each, version in every if cluster.simulator.resource(each) is not None}
    arm(cluster, *(("DELETE", f"{each}?api-version={version}", None) for each, version in found.items()))

    def gone() -> bool:
        return all(cluster.simulator.resource(each) is None for each in found)

    cluster.kube.wait("what was left in Azure to go", gone, seconds=60)


def certificate(name: str) -> str:
    """Return a self-signed certificate as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=365))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def der(pem: str) -> str:
    """Return the base64 of a certificate's DER: the form in which Azure has it."""
    found = x509.load_pem_x509_certificate(pem.encode())
    return base64.b64encode(found.public_bytes(serialization.Encoding.DER)).decode()


def _files(cluster: Cluster) -> dict[str, str]:
    """Let the disk server serve the examples' files under the examples' host name."""
    kube, space = cluster.kube, names.EXAMPLES_NAMESPACE
    present = kube.get("Namespace", None, space)
    labels = ((present or {}).get("metadata") or {}).get("labels") or {}
    assert present is None or names.SANDBOX_LABEL in labels, f"namespace {space} is there: the demo uses this cluster"
    kube.apply(namespace(space, **{names.SANDBOX_LABEL: "examples"}))
    alias = {"type": "ExternalName", "externalName": f"{names.DISKS_HOST}.cluster.local"}
    metadata = {"name": "files", "namespace": space}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": alias})
    disks.send(kube, [*(disks.build(name) for name in _MORE_DISKS), disks.vhdx(disks.DATA)])
    program = (Path(__file__).parent / "makefiles.py").read_text()
    sums: dict[str, str] = json.loads(disks.inside(kube, "python3", "-c", program))
    return sums


def _fill(sandbox: Sandbox) -> None:
    """Leave on the claim what a build leaves there."""
    served = f"{disks.HTTP}/disks"
    for source, path in (
        (f"{disks.PREPARED}.vhd", "debian-12.vhd"),
        (f"{disks.PREPARED}.vhd", "debian-12.raw"),
        (f"{disks.DATA}.vhd", "data-disk.vhd"),
        (f"{disks.DATA}.vhd", "database.raw"),
    ):
        sandbox.fill("build-output", f"{served}/{source}", path)


def _blob(cluster: Cluster) -> None:
    """Leave in a storage account what a build leaves there."""
    kube = cluster.kube
    authority = kube.get("ConfigMap", names.SIMULATOR_NAMESPACE, "azure-simulator-ca")
    accounts = kube.get("Secret", names.SIMULATOR_NAMESPACE, "azurite-accounts")
    assert authority is not None
    assert accounts is not None
    order = {
        "url": f"{BLOBS}builds/debian-12.vhd",
        "key": base64.b64decode(accounts["data"]["account-key"]).decode(),
        "authority": authority["data"]["ca.crt"],
        "file": f"/data/{disks.PREPARED}.vhd",
    }
    program = (Path(__file__).parent / "putblob.py").read_text()
    disks.inside(kube, "python3", "-c", program, stdin=json.dumps(order).encode())


def _azure(cluster: Cluster) -> None:
    remove_retained(cluster)
    groups = [f"{OURS}/resourcegroups/rg-{name}" for name in ("development", "keys")]
    groups += [f"{OTHERS}/resourcegroups/rg-builds"]
    arm(cluster, *(("PUT", f"{group}?{_GROUP_API}", {"location": LOCATION}) for group in groups))
    _disks(cluster)
    _keys(cluster)
    _machine(cluster)
    for name in ("licences", "debian-12-trusted"):
        cluster.simulator.request("PUT", "/_control/blobs", {"url": f"{BLOBS}vhds/{name}.vhd", "sizeGB": 1})
    for name in ("terraformed", "handmade"):
        gallery = {"location": LOCATION, "tags": {}, "properties": {"description": "theirs"}}
        arm(cluster, ("PUT", f"{COMPUTE}/galleries/{name}?{_API}", gallery))
    _version(cluster, f"{BUILDS}/galleries/builds", "12.7.1", {})
    info = {
        "publisherUri": "https://example.com",
        "publisherContact": "images@example.com",
        "eula": "https://example.com/eula",
        "publicNamePrefix": "debian",
    }
    public = f"{BUILDS}/galleries/published"
    if cluster.simulator.resource(public) is None:
        sharing = {"sharingProfile": {"permissions": "Community", "communityGalleryInfo": info}}
        _version(cluster, public, "12.3.0", sharing)
        arm(cluster, ("POST", f"{public}/share?{_API}", {"operationType": "EnableCommunity"}))
        cluster.kube.wait("the community gallery to be public", lambda: _public(cluster, public), seconds=60)
    # Azure makes up the end of a public name; the example has one made up by us.
    named = {"sharingProfile": {"communityGalleryInfo": {"publicNames": [COMMUNITY]}}}
    cluster.simulator.request("PATCH", "/_control/resources", {"id": public, "properties": named})


def _public(cluster: Cluster, gallery: str) -> bool:
    body = cluster.simulator.resource(gallery) or {}
    return bool(body["properties"]["sharingProfile"]["communityGalleryInfo"].get("communityGalleryEnabled"))


def _put(cluster: Cluster, resource_id: str, properties: Json, *luns: int | None, location: str = LOCATION) -> None:
    """Put a resource that is not ours into Azure, with a disk of 1 GiB for each LUN (None: its OS disk)."""
    body = {"id": resource_id, "location": location, "properties": properties}
    rows = [{"lun": lun, "sizeGB": 1} for lun in luns]
    cluster.simulator.request("PUT", "/_control/resources", {"body": body, "disks": rows})


def _disks(cluster: Cluster) -> None:
    """Disks and snapshots, as a build in Azure leaves them."""
    plain: Json = {"diskSizeGB": 1, "diskState": "Unattached"}
    bootable = {**plain, "osType": "Linux", "hyperVGeneration": "V2"}
    confidential = {"securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey"}
    _put(cluster, f"{COMPUTE}/snapshots/debian-12", bootable, None)
    secured = {**bootable, "securityProfile": confidential}
    _put(cluster, f"{COMPUTE}/snapshots/debian-12-confidential", secured, None)
    for name in ("debian-12-data", "models"):
        _put(cluster, f"{COMPUTE}/snapshots/{name}", plain, None)
    _put(cluster, f"{COMPUTE}/disks/tools", plain, None)
    _put(cluster, f"{BUILDS}/disks/built", bootable, None)


def _keys(cluster: Cluster) -> None:
    """Disk encryption sets."""
    keys = COMPUTE.replace("rg-images", "rg-keys")
    for parent, name, kind, location in (
        (COMPUTE, "images-westeurope", "EncryptionAtRestWithCustomerKey", LOCATION),
        (COMPUTE, "images-northeurope", "EncryptionAtRestWithCustomerKey", "northeurope"),
        (COMPUTE, "confidential-westeurope", "ConfidentialVmEncryptedWithCustomerKey", LOCATION),
        (keys, "databases", "EncryptionAtRestWithCustomerKey", LOCATION),
    ):
        _put(cluster, f"{parent}/diskEncryptionSets/{name}", {"encryptionType": kind}, location=location)


def _machine(cluster: Cluster) -> None:
    """A generalized virtual machine, and a managed image from the time before galleries, with a data disk."""
    codes = ("PowerState/deallocated", "OSState/generalized")
    view = {"hyperVGeneration": "V2", "statuses": [{"code": code} for code in codes]}
    machine = {"storageProfile": {"osDisk": {"osType": "Linux"}}, "instanceView": view}
    _put(cluster, f"{COMPUTE}/virtualMachines/builder", machine, None)
    os_disk = {"osType": "Linux", "osState": "Generalized", "diskSizeGB": 1}
    storage = {"osDisk": os_disk, "dataDisks": [{"lun": 4, "diskSizeGB": 1}]}
    _put(cluster, f"{COMPUTE}/images/debian-12", {"hyperVGeneration": "V2", "storageProfile": storage}, None, 4)


def _version(cluster: Cluster, gallery: str, version: str, properties: Json) -> None:
    """A gallery of somebody else with one version of ``debian-12``."""
    definition = {
        "osType": "Linux",
        "osState": "Generalized",
        "hyperVGeneration": "V2",
        "architecture": "x64",
        "features": [{"name": "SecurityType", "value": "Standard"}],
        "identifier": {"publisher": "builds", "offer": "debian", "sku": gallery.rsplit("/", 1)[-1]},
    }
    content = {
        "storageProfile": {"osDiskImage": {"source": {"id": f"{BUILDS}/disks/built"}}},
        "publishingProfile": {"targetRegions": [{"name": LOCATION}]},
    }
    parent = f"{gallery}/images/debian-12"
    steps = ((gallery, properties), (parent, definition), (f"{parent}/versions/{version}", content))
    made = (("PUT", f"{path}?{_API}", {"location": LOCATION, "properties": body}) for path, body in steps)
    arm(cluster, *made)
