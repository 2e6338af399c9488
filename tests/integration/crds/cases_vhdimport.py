"""Cases for VhdImport."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.integration.crds.cases import ABSENT, Case, tag_cases
from tests.support import samples


def vhd_import_cases() -> list[Case]:
    def case(title: str, change: Mapping[str, Any] = {}, message: str | None = None, **more: Any) -> Case:
        return Case("VhdImport", title, change, message, **more)

    def url(value: str) -> dict[str, Any]:
        return {"spec.source": {"url": {"url": value}}}

    def path(value: str) -> dict[str, Any]:
        return {"spec.source": {"pvc": {"claimName": "build", "path": value}}}

    def mirrors(*urls: str) -> dict[str, Any]:
        source = {"url": "https://a.example.com/debian.xz", "mirrors": list(urls), "checksum": "sha256:" + "a" * 64}
        return {"spec.source": {"url": source}}

    def checksums(**more: Any) -> dict[str, Any]:
        return {"spec.source.url.checksums": {"url": "https://images.example.org/12/SHA512SUMS", **more}}

    signed = {
        "url": "https://images.example.org/12/SHA512SUMS.sign",
        "secretKeyRef": {"name": "keys", "key": "debian.asc"},
    }
    sums_url = "checksums.url must be an absolute http or https URL without user info, query and spaces"
    one_key = "set exactly one of secretKeyRef and configMapKeyRef"

    def s3(**change: Any) -> dict[str, Any]:
        return {"spec.source": {"s3": {"region": "eu-north-1", "bucket": "images", "key": "debian.raw", **change}}}

    def oci(reference: str, **more: Any) -> dict[str, Any]:
        return {"spec.source": {"oci": {"reference": reference, **more}}}

    digest = "@sha256:" + "a" * 64
    one_source = "set exactly one of source.url, source.s3, source.oci, source.blob and source.pvc"

    def source_blob(**more: Any) -> dict[str, Any]:
        blob = {"storageAccountId": samples.STORAGE_ACCOUNT, "container": "builds", "blobName": "debian 12/os.vhd"}
        return {"spec.source": {"blob": {**blob, **more}}}

    moment = "a version or snapshot of a blob is written as Azure gives it: 2026-"
    user_info = "url must not contain user info: give credentials as request headers in a Secret (headersSecretRef)"
    signature = "url must not contain a signature (a SAS is a secret)"
    absolute = "url must be an absolute http or https URL"
    relative = "path must be relative to the claim's root and must not contain '..'"
    blob = {"storageAccountId": samples.STORAGE_ACCOUNT, "container": "vhds"}
    disk = {"resourceGroup": "rg", "location": "westeurope"}
    mirror = "a mirror must be an absolute http or https URL without user info, query and spaces"
    endpoint = "endpoint is an http or https URL without path, user info and query"
    reference = "a reference is written as `host/repository@sha256:<hex>`"
    checksum = "checksum must be `sha256:` and 64 hexadecimal digits, or `sha512:` and 128"
    one_target = "set exactly one of destination.pageBlob, destination.managedDisk and destination.managedImage"
    return [
        case("minimal"),
        *tag_cases("VhdImport", "spec.destination.managedDisk.tags", {"spec.destination.managedDisk": disk}),
        case("no source", {"spec.source": {}}, one_source, path="spec.source"),
        case("two sources", {"spec.source.pvc": {"claimName": "build"}}, one_source),
        case("blob", source_blob(checksum="sha256:" + "a" * 64)),
        case("version of a blob", source_blob(versionId="2026-11-30T08:50:35.1234567Z")),
        case("snapshot of a blob", source_blob(snapshot="2026-11-30T08:50:35.1234567Z")),
        case("blob in $root", source_blob(container="$root")),
        case("blob and claim", source_blob() | {"spec.source.pvc": {"claimName": "build"}}, one_source),
        case(
            "version and snapshot",
            source_blob(versionId="2026-11-30T08:50:35.1234567Z", snapshot="2026-11-30T08:50:35.1234567Z"),
            "a blob has versions or snapshots: set versionId or snapshot, not both",
            path="spec.source.blob",
        ),
        case("version that is no time", source_blob(versionId="latest"), moment, path="spec.source.blob.versionId"),
        case("snapshot with more behind it", source_blob(snapshot="2026-11-30T08:50:35.1Z&sig=x"), moment),
        case("blob's account by a disk", source_blob(storageAccountId=f"{samples.COMPUTE}/disks/a"), "ARM id of a"),
        case("blob's container in capitals", source_blob(container="Builds"), "a container's name has lower case"),
        case("blob without a name", source_blob(blobName=""), "blobName"),
        case("checksum of a blob", source_blob(checksum="md5:abc"), checksum),
        case("block claim", {"spec.source": {"pvc": {"claimName": "build"}}}),
        case("URL with user", url("https://user@example.com/a"), user_info, path="spec.source.url.url"),
        case("URL with password", url("https://user:pass@example.com/a"), user_info),
        case("URL with user, no path", url("https://user:pass@example.com"), user_info),
        case("URL with @ in its path", url("https://example.com/a@b?c=d@e")),
        case("URL with SAS", url("https://a.blob.core.windows.net/b/c?sv=1&sig=abc"), signature),
        case("URL with SAS, first parameter", url("https://a.blob.core.windows.net/b/c?sig=abc"), signature),
        case("URL with SAS in capitals", url("https://a.blob.core.windows.net/b/c?SIG=abc"), signature),
        case("URL signed for S3", url("https://a.s3.example.com/b?X-Amz-Signature=abc"), signature),
        case("URL signed for Google", url("https://a.example.com/b?X-Goog-Signature=abc"), signature),
        case("URL with another parameter", url("https://example.com/a?design=1")),
        case("file URL", url("file:///etc/passwd"), absolute, path="spec.source.url.url"),
        case("URL with a space", url("https://example.com/a b"), absolute),
        case("URL with a line break", url("https://example.com/a\n"), absolute),
        case("relative URL", url("images/debian.vhd"), absolute),
        case("URL without host", url("https:///debian.vhd"), absolute),
        case("plain http URL", url("http://images.demo.svc.cluster.local/debian.vhd")),
        case("checksum without algorithm", {"spec.source.url.checksum": "a" * 64}, checksum),
        case("checksum too short", {"spec.source.url.checksum": "sha256:abc"}, checksum),
        case("mirrors", mirrors("https://b.example.org/debian.xz", "http://[2001:db8::1]:8080/a@b")),
        case("no mirrors and no checksum", {"spec.source.url": {"url": "https://a.example.com/d", "mirrors": []}}),
        case(
            "mirrors without checksum",
            {"spec.source.url": {"url": "https://a.example.com/d", "mirrors": ["https://b.example.com/d"]}},
            "mirrors need checksum or checksums",
            path="spec.source.url.mirrors",
        ),
        case("checksums", checksums()),
        case(
            "checksums at http with a signature", checksums(signature=signed, url="http://mirror.example.org/12/SUMS")
        ),
        case("checksums signed in clear", checksums(signature={"configMapKeyRef": {"name": "keys", "key": "key.asc"}})),
        case("checksums and mirrors", checksums() | {"spec.source.url.mirrors": ["https://b.example.com/d"]}),
        case(
            "checksum and checksums",
            checksums() | {"spec.source.url.checksum": "sha256:" + "a" * 64},
            "checksum and checksums exclude each other",
            path="spec.source.url.checksums",
        ),
        case("checksums with user", checksums(url="https://u@a.example.com/SUMS"), sums_url),
        case("checksums with a query", checksums(url="https://a.example.com/SUMS?sig=abc"), sums_url),
        case("signature at a file", checksums(signature=signed | {"url": "file:///x"}), "signature.url must be"),
        case("signature without a key", checksums(signature={"url": signed["url"]}), one_key),
        case(
            "signature with two keys",
            checksums(signature=signed | {"configMapKeyRef": {"name": "keys", "key": "key.asc"}}),
            one_key,
        ),
        case("checksums without a URL", {"spec.source.url.checksums": {"file": "debian.qcow2"}}, "Required value"),
        case("mirror with user", mirrors("https://user@b.example.org/debian.xz"), mirror),
        case("mirror with a query", mirrors("https://b.example.org/debian.xz?sig=abc"), mirror),
        case("mirror of another scheme", mirrors("ftp://b.example.org/debian.xz"), mirror),
        case(
            "too many mirrors", mirrors(*(f"https://m{n}.example.org/d" for n in range(5))), "must have at most 4 items"
        ),
        case("checksum", {"spec.source.url.checksum": "sha512:" + "aB" * 64}),
        case(
            "checksum of a claim's file",
            {"spec.source": {"pvc": {"claimName": "build", "checksum": "md5:abc"}}},
            checksum,
        ),
        case("object", s3()),
        case("object in MinIO", {"spec.source": {"s3": {"endpoint": "http://a:9000/", "bucket": "abc", "key": "ä b"}}}),
        case(
            "object nowhere", {"spec.source": {"s3": {"bucket": "images", "key": "a"}}}, "set region, or the endpoint"
        ),
        case("endpoint with bucket", s3(endpoint="https://s3.example.com/images"), endpoint),
        case("endpoint with user", s3(endpoint="https://user@s3.example.com"), endpoint),
        case("endpoint of another scheme", s3(endpoint="s3://images"), endpoint),
        case("bucket with a path", s3(bucket="images/debian"), "a bucket's name has letters, digits"),
        case("region in words", s3(region="EU Stockholm"), "a region is written as `eu-north-1`"),
        case("checksum of an object", s3(checksum="md5:abc"), checksum),
        case("artifact", oci("registry.example.org/images/debian" + digest)),
        case("artifact with tag and port", oci("registry:5000/debian:12.7" + digest, path="disk/debian.qcow2")),
        case("artifact by tag", oci("registry.example.org/debian:12"), reference),
        case("artifact without registry", oci("images/debian" + digest), reference),
        case("artifact with user", oci("user@registry.example.org/debian" + digest), reference),
        case("artifact with scheme", oci("oci://registry.example.org/debian" + digest), reference),
        case("artifact with a short digest", oci("registry.example.org/debian@sha256:abc"), reference),
        case("artifact by SHA-512", oci("registry.example.org/debian@sha512:" + "a" * 128)),
        case(
            "path that goes up in an image",
            oci("registry.example.org/debian" + digest, path="disk/../../a"),
            "path must not contain '..'",
            path="spec.source.oci.path",
        ),
        case("absolute path", path("/etc/passwd"), relative, path="spec.source.pvc.path"),
        case("path that goes up", path("images/../../secret"), relative),
        case("path that only looks so", path("images/..debian..vhd")),
        case("definition and profile", {"spec.profile": {}}, "set at most one of definitionRef and profile"),
        case(
            "neither destination nor definition",
            {"spec.definitionRef": ABSENT},
            "without a destination the disk goes to a staging disk beside the gallery",
        ),
        case("destination without definition", {"spec.definitionRef": ABSENT, "spec.destination.managedDisk": disk}),
        case("empty destination", {"spec.destination": {}}, one_target),
        case("two destinations", {"spec.destination": {"pageBlob": blob, "managedDisk": disk}}, one_target),
        case("page blob", {"spec.destination.pageBlob": blob}),
        case(
            "page blob, bad account",
            {"spec.destination.pageBlob": blob | {"storageAccountId": "images"}},
            "a storage account",
        ),
        case(
            "page blob, bad container",
            {"spec.destination.pageBlob": blob | {"container": "a--b"}},
            "a container's name has",
        ),
        case("page blob, root container", {"spec.destination.pageBlob": blob | {"container": "$root"}}),
        case(
            "disk, bad name", {"spec.destination.managedDisk": disk | {"diskName": "-a"}}, "a disk's name has letters"
        ),
        case(
            "disk, bad group",
            {"spec.destination.managedDisk": disk | {"resourceGroup": "a."}},
            "a resource group's name",
        ),
        case(
            "disk, bad region", {"spec.destination.managedDisk": disk | {"location": "a/b"}}, "a region is written as"
        ),
        case(
            "disk, bad subscription",
            {"spec.destination.managedDisk": disk | {"subscriptionId": "a"}},
            "a subscription is named",
        ),
        case(
            "ignore by pattern", {"spec.prerequisites.ignore": ["NET*"]}, "the id of a check is three capital letters"
        ),
        case("ignore by id", {"spec.prerequisites.ignore": ["NET003", "SSH001"]}),
        case("scratch in words", {"spec.scratch.size": "64 GB"}, "a size is a number and a unit"),
        case("scratch", {"spec.scratch.size": "1.5Ti"}),
        case("bandwidth in words", {"spec.job.bandwidthLimit": "50 MB/s"}, "a bandwidth limit is a whole number and"),
        case("no bandwidth", {"spec.job.bandwidthLimit": "0Mi"}, "a bandwidth limit is a whole number and"),
        case("bandwidth", {"spec.job.bandwidthLimit": "50Mi"}),
        *(case(f"read back {much}", {"spec.verification.readBack": much}) for much in ("None", "Sample", "Full")),
        case("read back half", {"spec.verification.readBack": "Half"}, 'Unsupported value: "Half"'),
        *(
            case(
                f"{name} changed",
                {f"spec.{name}": before},
                f"{name} cannot be changed: ",
                update={f"spec.{name}": after},
                path=f"spec.{name}",
            )
            for name, before, after in [
                ("source", {"url": {"url": "https://example.com/a"}}, {"url": {"url": "https://example.com/b"}}),
                ("source", {"url": {"url": "https://example.com/a"}}, {"pvc": {"claimName": "build"}}),
                ("source", s3()["spec.source"], s3(key="another")["spec.source"]),
                (
                    "source",
                    oci("registry.example.org/a" + digest)["spec.source"],
                    oci("registry.example.org/b" + digest)["spec.source"],
                ),
                ("definitionRef", {"name": "one"}, {"name": "two"}),
                ("diskRole", "os", "data"),
                ("destination", {"managedDisk": disk}, {"managedDisk": disk | {"diskName": "other"}}),
                ("destination", {"managedDisk": disk}, ABSENT),
            ]
        ),
        case(
            "observed without a destination",
            {"spec.managementPolicy": "Observe"},
            "with managementPolicy Observe say in destination which disk to observe",
        ),
        case("observed", {"spec.managementPolicy": "Observe", "spec.destination": {"managedDisk": disk}}),
        case(
            "managementPolicy changed",
            {"spec.destination": {"managedDisk": disk}},
            "managementPolicy cannot be changed: ",
            update={"spec.managementPolicy": "Observe"},
        ),
        case(
            "profile changed",
            {"spec.definitionRef": ABSENT, "spec.destination.managedDisk": disk, "spec.profile.architecture": "x64"},
            "profile cannot be changed: ",
            update={"spec.profile.architecture": "Arm64"},
        ),
        case(
            "updatable fields changed",
            {},
            update={"spec.job.retries": 9, "spec.prerequisites.policy": "Warn", "spec.verification.readBack": "Full"},
        ),
    ]
