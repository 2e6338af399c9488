"""Files of checksums, in all the forms in which publishers have them."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.worker.checksums import Entry, NotListedError, parse, pick

A, B = hashlib.sha256(b"a").hexdigest(), hashlib.sha256(b"b").hexdigest()
A5 = hashlib.sha512(b"a").hexdigest()

UBUNTU = f"{A} *noble-server-cloudimg-amd64.img\n{B} *noble-server-cloudimg-arm64.img\n"
DEBIAN = f"{A5}  debian-12-generic-amd64.qcow2\n{hashlib.sha512(b'b').hexdigest()}  debian-12-generic-amd64.raw\n"
FEDORA = f"""-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA256

# Fedora-Cloud-Base-Azure-43-1.6.x86_64.vhdfixed.xz: 425000000 bytes
SHA256 (Fedora-Cloud-Base-Azure-43-1.6.x86_64.vhdfixed.xz) = {A}
- -----dashes are escaped
- SHA256 (-dash.img) = {B}
-----BEGIN PGP SIGNATURE-----

{"a" * 64}
-----END PGP SIGNATURE-----
"""
CENTOS = f"# CentOS-Stream.qcow2: 1 bytes\r\nSHA256 (CentOS-Stream.qcow2) = {A}\r\n"


@pytest.mark.parametrize(
    ("text", "file", "checksum"),
    [
        (UBUNTU, "noble-server-cloudimg-arm64.img", f"sha256:{B}"),
        (DEBIAN, "debian-12-generic-amd64.qcow2", f"sha512:{A5}"),
        (FEDORA, "Fedora-Cloud-Base-Azure-43-1.6.x86_64.vhdfixed.xz", f"sha256:{A}"),
        (FEDORA, "-dash.img", f"sha256:{B}"),
        (CENTOS, "CentOS-Stream.qcow2", f"sha256:{A}"),
        (f"SHA512 (x)= {A5}\nSHA256 (x) = {A}\n", "x", f"sha512:{A5}"),
        (f"SHA2-256(x)= {A.upper()}\n", "x", f"sha256:{A}"),
        (f"{A}  ./folder/x.img\n", "x.img", f"sha256:{A}"),
        (f"{A}  ./folder/x.img\n{B}  other/x.img", "folder/x.img", f"sha256:{A}"),
        (f"{A}  name with  spaces.img", "name with  spaces.img", f"sha256:{A}"),
        (f"\\{A}  back\\\\slash\\nline", "back\\slash\nline", f"sha256:{A}"),
        (f"{A}\n", "whatever.img", f"sha256:{A}"),
        (f"\ufeff\n{A}\tx", "x", f"sha256:{A}"),
        (f"{A}  x\n{A}  x\n", "x", f"sha256:{A}"),
        (f"d41d8cd98f00b204e9800998ecf8427e  x\n{A}  x\n", "x", f"sha256:{A}"),
    ],
)
def test_forms(text: str, file: str, checksum: str) -> None:
    assert pick(parse(text), file) == checksum


@pytest.mark.parametrize(
    ("text", "file", "says"),
    [
        ("", "x", "no SHA-256 and no SHA-512"),
        ("<html>not found</html>", "x", "no SHA-256"),
        ("d41d8cd98f00b204e9800998ecf8427e  x\n", "x", "no SHA-256"),
        (UBUNTU, "noble-server-cloudimg-riscv64.img", "it lists noble-server-cloudimg-amd64.img, noble"),
        (f"{A}  a/x.img\n{B}  b/x.img\n", "x.img", "name the file with its folder"),
        (f"{A}  x\n{B}  x\n", "x", "several times with different checksums"),
        (f"{A}\n{B}\n", "x", "no names"),
        (f"{A}  y/x.img", "z/x.img", "does not list"),
        # What stands behind the signed text is nobody's.
        (FEDORA + f"{B}  y\n", "y", "does not list"),
    ],
)
def test_what_is_not_listed(text: str, file: str, says: str) -> None:
    with pytest.raises(NotListedError, match=says):
        pick(parse(text), file)


_names = st.text(st.characters(blacklist_categories=("Cs", "Cc", "Zl", "Zp", "Zs")), min_size=1, max_size=40).filter(
    lambda name: name.strip() == name and len(name.splitlines()) == 1 and not name.startswith(("*", "./"))
)
_digests = st.binary(min_size=1, max_size=8).map(lambda data: hashlib.sha256(data).hexdigest())


@given(st.dictionaries(_names, _digests, min_size=1, max_size=8), st.sampled_from(["gnu", "binary", "bsd"]), st.data())
def test_what_is_written_is_read(sums: dict[str, str], form: str, data: st.DataObject) -> None:
    forms = {"gnu": "{1}  {0}", "binary": "{1} *{0}", "bsd": "SHA256 ({0}) = {1}"}
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join(forms[form].format(name, digest) for name, digest in sums.items())
    assert parse(text) == [Entry(f"sha256:{digest}", name) for name, digest in sums.items()]
    name = data.draw(st.sampled_from(sorted(sums)))
    assert pick(parse(text), name) == f"sha256:{sums[name]}"


@given(st.text(max_size=400), st.text(min_size=1, max_size=20))
def test_any_text_is_read_or_refused(text: str, file: str) -> None:
    try:
        found = pick(parse(text), file)
    except NotListedError:
        return
    assert found.startswith(("sha256:", "sha512:"))
    assert found.partition(":")[2] in text.lower()
