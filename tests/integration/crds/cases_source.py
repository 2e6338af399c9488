"""Cases for the sources of an ImageVersion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import Case
from tests.support import samples

VERSION_ID = f"{samples.COMPUTE}/galleries/builds/images/debian/versions/1.0.0"
WHOLE: dict[str, Any] = {
    "managedImageId": f"{samples.COMPUTE}/images/debian",
    "virtualMachineId": f"{samples.COMPUTE}/virtualMachines/builder",
    "galleryImageVersionId": VERSION_ID,
    "imageVersionRef": {"name": "other"},
    "communityGalleryImageId": "/CommunityGalleries/debian-1a2b/Images/debian-12/Versions/12.7.1",
}


def minimal_template() -> dict[str, Any]:
    """The least that a template of an import is; a new one each time, because cases change it."""
    return {"spec": {"source": {"url": {"url": "https://example.com/debian.qcow2.xz"}}}}


def source_cases() -> list[Case]:
    def case(title: str, source: Mapping[str, Any], message: str | None = None, **more: Any) -> Case:
        return Case("ImageVersion", f"source: {title}", {"spec.source": source}, message, **more)

    def template(title: str, changes: Mapping[str, Any], message: str | None = None, **more: Any) -> Case:
        """A template for the OS disk and for the last of 64 data disks: the rules are the same."""
        both = {
            f"spec.source.{where}.importTemplate.{path}": value
            for where in ("osDisk", "dataDisks.63")
            for path, value in changes.items()
        }
        data = [{"lun": lun, "importTemplate": minimal_template()} for lun in range(64)]
        start = {"spec.source": {"osDisk": {"importTemplate": minimal_template()}, "dataDisks": data}}
        return Case("ImageVersion", f"importTemplate: {title}", start | both, message, **more)

    def disks(first: dict[str, Any], *others: dict[str, Any]) -> dict[str, Any]:
        return {"osDisk": first, "dataDisks": [{"lun": lun, **each} for lun, each in enumerate(others)]}

    def blob(name: str) -> dict[str, Any]:
        uri = f"https://images.blob.core.windows.net/vhds/{name}.vhd"
        return {"blob": {"storageAccountId": samples.STORAGE_ACCOUNT, "uri": uri}}

    def of(kind: str, name: str) -> dict[str, Any]:
        return {f"{kind}Id": f"{samples.COMPUTE}/{kind}s/{name}"}

    one = "set exactly one of osDisk, managedImageId, virtualMachineId, galleryImageVersionId, imageVersionRef and"
    alone = "dataDisks need osDisk: a managed image, virtual machine or version brings the data disks that it has"
    data = [{"lun": 0, "vhdImportRef": {"name": "data"}}]
    os_disk = {"vhdImportRef": {"name": "os"}}
    key = "the key of a label or annotation is a name of at most 63 characters"
    value = "the value of a label has letters, digits, '-', '_' and '.' only"
    prefix = "labels and annotations that begin with gallery-operator.dev/ are the operator's"
    community = "this must be the id of a community gallery's image version: /CommunityGalleries/"
    return [
        case("nothing", {}, one, path="spec.source"),
        case("data disks alone", {"dataDisks": data}, one),
        case("two wholes", {"managedImageId": WHOLE["managedImageId"], "imageVersionRef": {"name": "other"}}, one),
        *(case(name, {name: each}) for name, each in WHOLE.items()),
        *(case(f"{name} and osDisk", {name: each, "osDisk": os_disk}, one) for name, each in WHOLE.items()),
        *(
            case(f"{name} and data disks", {name: each, "dataDisks": data}, alone, path="spec.source.dataDisks")
            for name, each in WHOLE.items()
        ),
        *(case(f"{name} and no data disks", {name: each, "dataDisks": []}) for name, each in WHOLE.items()),
        case("image by a disk", {"managedImageId": f"{samples.COMPUTE}/disks/a"}, "ARM id of a managed image"),
        case("VM by an image", {"virtualMachineId": f"{samples.COMPUTE}/images/a"}, "ARM id of a virtual machine"),
        case(
            "version by a definition",
            {"galleryImageVersionId": f"{samples.COMPUTE}/galleries/a/images/b"},
            "ARM id of a gallery image version",
        ),
        Case(
            "ImageVersion",
            "source: the version itself",
            {"metadata.name": "itself", "spec.source": {"imageVersionRef": {"name": "itself"}}},
            "imageVersionRef names the version itself: name another one",
            path="spec.source.imageVersionRef",
        ),
        case("community image without version", {"communityGalleryImageId": "/communityGalleries/a-b/images/c"}),
        case("community, as an ARM id", {"communityGalleryImageId": VERSION_ID}, community),
        case("shared", {"communityGalleryImageId": "/SharedGalleries/a/Images/b/Versions/1.0.0"}, community),
        case("community, no name", {"communityGalleryImageId": "/CommunityGalleries//Images/b"}, community),
        case("an import twice", disks(os_disk, os_disk), "name the same vhdImportRef", path="spec.source.dataDisks"),
        case("an import twice as data", disks({}, os_disk, os_disk) | {"osDisk": blob("os")}, "the same vhdImportRef"),
        case(
            "OS and data of one blob", disks(blob("a"), blob("a")), "name the same blob", path="spec.source.dataDisks"
        ),
        case("a disk twice", disks(of("disk", "os"), of("disk", "a"), of("disk", "A")), "name the same diskId"),
        case("a snapshot twice", disks(of("snapshot", "a"), of("snapshot", "a")), "name the same snapshotId"),
        case(
            "of each kind",
            disks(
                of("disk", "a"),
                of("disk", "b"),
                of("snapshot", "a"),
                os_disk,
                blob("a"),
                {"importTemplate": minimal_template()},
            ),
        ),
        template("minimal", {}),
        case(
            "importTemplate and vhdImportRef",
            {"osDisk": os_disk | {"importTemplate": minimal_template()}},
            "importTemplate, blob",
        ),
        template("labels", {"metadata": {"labels": {"example.com/a-b": "c.d", "x": ""}, "annotations": {"a": "b c"}}}),
        template("label without name", {"metadata": {"labels": {"example.com/": "a"}}}, key),
        template("label's key too long", {"metadata": {"labels": {"a" * 64: "a"}}}, key),
        template("annotation with a space", {"metadata": {"annotations": {"a b": "a"}}}, key),
        template("label's value", {"metadata": {"labels": {"a": "b c"}}}, value),
        template("label of ours", {"metadata": {"labels": {"gallery-operator.dev/vhdimport": "a"}}}, prefix),
        template(
            "annotation of ours",
            {"metadata": {"annotations": {"gallery-operator.dev/reconcile-requested-at": "a"}}},
            prefix,
        ),
        *nested(template),
        case(
            "importTemplate changed",
            {"osDisk": {"importTemplate": minimal_template()}},
            "source cannot be changed: Azure does not allow it; make a new version",
            update={"spec.source.osDisk.importTemplate.spec.scratch": {"size": "128Gi"}},
        ),
    ]


def case_of_sku(disk: dict[str, str]) -> Case:
    """An OS disk cannot be of a storage that is for data disks."""
    made = minimal_template()
    made["spec"]["destination"] = {"managedDisk": disk | {"sku": "UltraSSD_LRS"}}
    change = {"spec.source": {"osDisk": {"importTemplate": made}}}
    return Case("ImageVersion", "importTemplate: UltraSSD for an OS disk", change, "are for data disks")


def nested(template: Any) -> list[Case]:
    """Every rule of an import holds within a template: the cases of imports, as far as they are about it."""
    account = {"storageAccountId": samples.STORAGE_ACCOUNT, "container": "vhds"}
    disk = {"resourceGroup": "rg-images", "location": "westeurope"}
    both = {"pageBlob": account, "managedDisk": disk}
    sums = {"url": "https://images.example.org/12/SHA512SUMS"}
    blob = account | {"blobName": "debian.vhd"}
    moment = "2026-11-30T08:50:35.1234567Z"
    found: list[Case] = [
        template(
            "no source",
            {"spec.source": {}},
            "set exactly one of source.url, source.s3, source.oci, source.blob and source.pvc",
        ),
        template(
            "SAS", {"spec.source.url.url": "https://a.blob.core.windows.net/b?sig=c"}, "must not contain a signature"
        ),
        template("user info", {"spec.source.url.url": "https://a:b@example.com/c"}, "url must not contain user info"),
        template("no URL", {"spec.source.url.url": "file:///etc/passwd"}, "url must be an absolute http or https URL"),
        template("checksum", {"spec.source.url.checksum": "md5:1"}, "checksum must be `sha256:`"),
        template(
            "mirrors",
            {"spec.source.url.mirrors": ["https://a.example.com/b"], "spec.source.url.checksum": "sha256:" + "a" * 64},
        ),
        template("mirrors alone", {"spec.source.url.mirrors": ["https://a.example.com/b"]}, "mirrors need checksum"),
        template("checksums", {"spec.source.url.checksums": sums}),
        template(
            "checksum and checksums",
            {"spec.source.url.checksums": sums, "spec.source.url.checksum": "sha256:" + "a" * 64},
            "checksum and checksums exclude each other",
        ),
        template(
            "checksums with a query",
            {"spec.source.url.checksums": {"url": "https://a.example.com/SUMS?sig=abc"}},
            "checksums.url must be an absolute http or https URL",
        ),
        template(
            "signature at a file",
            {"spec.source.url.checksums": sums | {"signature": {"url": "file:///x"}}},
            "signature.url must be an absolute http or https URL",
        ),
        template(
            "checksums without a key",
            {"spec.source.url.checksums": sums | {"signature": {}}},
            "set exactly one of secretKeyRef and configMapKeyRef",
        ),
        template("mirror", {"spec.source.url.mirrors": ["https://a.example.com/b?sig=c"]}, "a mirror must be an"),
        template("object", {"spec.source": {"s3": {"region": "eu-north-1", "bucket": "images", "key": "a"}}}),
        template("object nowhere", {"spec.source": {"s3": {"bucket": "images", "key": "a"}}}, "set region, or the"),
        template(
            "endpoint", {"spec.source": {"s3": {"endpoint": "a", "bucket": "abc", "key": "a"}}}, "endpoint is an http"
        ),
        template(
            "bucket", {"spec.source": {"s3": {"region": "a", "bucket": "a/b", "key": "a"}}}, "a bucket's name has"
        ),
        template(
            "region", {"spec.source": {"s3": {"region": "A", "bucket": "abc", "key": "a"}}}, "a region is written"
        ),
        template("artifact", {"spec.source": {"oci": {"reference": f"r.example.org/a@sha256:{'a' * 64}"}}}),
        template("tag", {"spec.source": {"oci": {"reference": "r.example.org/a:1"}}}, "a reference is written as"),
        template(
            "path in an image",
            {"spec.source": {"oci": {"reference": f"r.example.org/a@sha256:{'a' * 64}", "path": ".."}}},
            "path must not contain",
        ),
        template("blob", {"spec.source": {"blob": blob}}),
        template(
            "version and snapshot of a blob",
            {"spec.source": {"blob": blob | {"versionId": moment, "snapshot": moment}}},
            "a blob has versions or snapshots: set versionId or snapshot, not both",
        ),
        template(
            "version of a blob",
            {"spec.source": {"blob": blob | {"versionId": "latest"}}},
            "a version or snapshot of a blob is written as Azure gives it",
        ),
        template(
            "snapshot of a blob",
            {"spec.source": {"blob": blob | {"snapshot": "latest"}}},
            "a version or snapshot of a blob is written as Azure gives it",
        ),
        template(
            "account of a blob",
            {"spec.source": {"blob": blob | {"storageAccountId": f"{samples.COMPUTE}/disks/a"}}},
            "ARM id of a",
        ),
        template(
            "container of a blob",
            {"spec.source": {"blob": blob | {"container": "Builds"}}},
            "a container's name has lower case",
        ),
        template("path", {"spec.source": {"pvc": {"claimName": "a", "path": "../b"}}}, "path must be relative"),
        template("check", {"spec.prerequisites": {"ignore": ["NET3"]}}, "the id of a check is three capital letters"),
        template("bandwidth", {"spec.job": {"bandwidthLimit": "50 MB/s"}}, "a bandwidth limit is a whole number and"),
        template("size", {"spec.scratch": {"size": "much"}}, "a size is a number and a unit"),
        template(
            "zones",
            {"spec.destination": {"managedDisk": disk | {"sku": "Premium_ZRS", "zones": ["1"]}}},
            "a zone-redundant disk is in all zones",
        ),
        template("zone", {"spec.destination": {"managedDisk": disk | {"zones": ["a"]}}}, "a zone is one digit"),
        template(
            "encryption set",
            {"spec.destination": {"managedDisk": disk | {"diskEncryptionSetId": "key"}}},
            "the ARM id of a disk encryption set",
        ),
        case_of_sku(disk),
        template("destinations", {"spec.destination": both}, "set exactly one of destination.pageBlob"),
        template(
            "account", {"spec.destination": {"pageBlob": account | {"storageAccountId": "a"}}}, "a storage account"
        ),
        template(
            "container", {"spec.destination": {"pageBlob": account | {"container": "A_b"}}}, "a container's name has"
        ),
        template(
            "group", {"spec.destination": {"managedDisk": disk | {"resourceGroup": "a."}}}, "a resource group's name"
        ),
        template(
            "region", {"spec.destination": {"managedDisk": disk | {"location": "west-eu"}}}, "a region is written as"
        ),
        template(
            "subscription", {"spec.destination": {"managedDisk": disk | {"subscriptionId": "a"}}}, "named by its id"
        ),
        template("disk's name", {"spec.destination": {"managedDisk": disk | {"diskName": "a b"}}}, "a disk's name has"),
        template(
            "tag", {"spec.destination": {"managedDisk": disk | {"tags": {"a/b": "c"}}}}, "a tag's name has at most"
        ),
        template(
            "our tag",
            {"spec.destination": {"managedDisk": disk | {"tags": {"gallery-operator.dev-uid": "a"}}}},
            "tags that begin",
        ),
        template("everything of a disk", {"spec.destination": {"managedDisk": disk | {"tags": {"a": "b"}}}}),
    ]
    return found
