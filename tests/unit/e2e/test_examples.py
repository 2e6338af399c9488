"""No example without an assertion about what it does, and nothing else than these files is substituted."""

from __future__ import annotations

from tests.support.e2e import names
from tests.support.e2e.examples.checks import CHECKS
from tests.support.e2e.examples.manifests import BLOBS, FILES, FOLDER, NAMESPACES, Substitutions, documents
from tests.support.e2e.examples.run import LATER

_NAMES = (("a.vhd.zst", "1"), ("b.vmgs", "2"), ("images/d", "3"))
SERVED = {name: f"sha256:{digit * 64}" for name, digit in _NAMES}


def test_every_example_has_a_check() -> None:
    missing = sorted(set(FILES) - set(CHECKS))
    assert not missing, f"say in tests/support/e2e/examples what these do in Azure: {', '.join(missing)}"
    assert sorted(set(CHECKS) - set(FILES)) == [], "these files are gone"
    assert set(FILES) >= LATER


def test_checksums_follow_their_urls() -> None:
    zeros = f"sha256:{64 * '0'}"
    text = "\n".join(
        [
            "url: https://images.example.org/a.vhd.zst",
            f"checksum: {zeros}",
            "url: https://images.example.org/b.vmgs",
            f"checksum: {zeros}",
            "uri: https://images.blob.core.windows.net/vhds/c.vhd",
            "  endpoint: https://minio.example.org # ours",
            "  key: a.vhd.zst",
            f"  checksum: {zeros}",
            f"  reference: registry.example.org/images/d:1@{zeros}",
        ]
    )
    assert Substitutions(SERVED).apply(text).splitlines() == [
        f"url: http://{names.EXAMPLES_HOST}/a.vhd.zst",
        f"checksum: {SERVED['a.vhd.zst']}",
        f"url: http://{names.EXAMPLES_HOST}/b.vmgs",
        f"checksum: {SERVED['b.vmgs']}",
        f"uri: {BLOBS}vhds/c.vhd",
        f"  endpoint: http://{names.EXAMPLES_HOST} # ours",
        "  key: a.vhd.zst",
        f"  checksum: {SERVED['a.vhd.zst']}",
        "  insecure: true",
        f"  reference: {names.EXAMPLES_HOST}/images/d:1@{SERVED['images/d']}",
    ]


def test_everything_else_is_applied_as_it_is_written() -> None:
    named = {file for file, _ in NAMESPACES}
    for file in FILES:
        text = (FOLDER / file).read_text()
        hosts = ("images.example.org", "images.blob.core.windows.net", "registry.example.org", "minio.example.org")
        changed = any(host in text for host in hosts)
        assert changed or Substitutions({}).apply(text) == text.rstrip("\n"), file
        spaces = {document["metadata"]["namespace"] for document in documents(file, Substitutions({}), "ours")}
        assert file in named or spaces == {"ours"}
