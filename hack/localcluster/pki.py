"""Keys and certificates of a cluster, made with the openssl command."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from hack.localcluster.errors import ClusterError
from hack.localcluster.process import write_private
from hack.localcluster.shell import run

DAYS = 3650
# A cluster that is brought up with less than this left gets new keys.
RENEW_SECONDS = 30 * 24 * 3600


@dataclass(frozen=True)
class Leaf:
    """A certificate to make: file name, subject, names and addresses it is valid for."""

    file: str
    common_name: str
    organization: str | None = None
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()

    def openssl_config(self) -> str:
        """The request as openssl's configuration file.

        Names are given in a section, not on the command line: the subject must not be parsed again.
        """
        alternatives = [f"DNS:{name}" for name in self.names] + [f"IP:{address}" for address in self.addresses]
        lines = ["[req]", "prompt = no", "distinguished_name = subject", "x509_extensions = extensions", "[subject]"]
        if self.organization:
            lines.append(f"O = {self.organization}")
        lines += [
            f"CN = {self.common_name}",
            "[extensions]",
            "basicConstraints = critical, CA:FALSE",
            "keyUsage = critical, digitalSignature",
            "extendedKeyUsage = serverAuth, clientAuth",
        ]
        if alternatives:
            lines.append(f"subjectAltName = {', '.join(alternatives)}")
        return "\n".join(lines) + "\n"


CA_CONFIG = """\
[req]
prompt = no
distinguished_name = subject
x509_extensions = extensions
[subject]
CN = gallery-operator local cluster
[extensions]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
"""


def ensure_authority(folder: Path) -> None:
    """Makes the certificate authority and the key of service account tokens, if absent or about to expire."""
    certificate = folder / "ca.crt"
    if certificate.exists() and not expires_within(certificate, RENEW_SECONDS):
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    _request(CA_CONFIG, part / "ca.key", part / "ca.crt")
    # RSA: Entra ID accepts only RS256 in the tokens that workload identity exchanges.
    run(["openssl", "genrsa", "-out", part / "sa.key", "2048"])
    run(["openssl", "rsa", "-in", part / "sa.key", "-pubout", "-out", part / "sa.pub"])
    for path in part.iterdir():
        path.chmod(0o600)
    part.rename(folder)


def make_leaf(folder: Path, leaf: Leaf) -> None:
    """Makes a key and a certificate `<file>.key`, `<file>.crt`, signed by the folder's authority."""
    _request(leaf.openssl_config(), folder / f"{leaf.file}.key", folder / f"{leaf.file}.crt", folder)


def expires_within(certificate: Path, seconds: int) -> bool:
    """Whether a certificate is expired, or will be so many seconds from now."""
    argv = ["openssl", "x509", "-checkend", str(seconds), "-noout", "-in", str(certificate)]
    return subprocess.run(argv, capture_output=True, check=False).returncode != 0


def _request(config: str, key: Path, certificate: Path, authority: Path | None = None) -> None:
    """Makes a key and a certificate; self-signed where no folder with an authority is given."""
    argv: list[str | Path] = ["openssl", "req", "-x509", "-config", "/dev/stdin", "-days", str(DAYS), "-sha256"]
    argv += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", certificate]
    if authority:
        argv += ["-CA", authority / "ca.crt", "-CAkey", authority / "ca.key"]
    previous = os.umask(0o077)
    try:
        run(argv, text_input=config)
    except ClusterError as error:
        raise ClusterError(f"{error}\nopenssl 3.0 or later is needed") from None
    finally:
        os.umask(previous)


def write_kubeconfig(path: Path, *, server: str, context: str, folder: Path, leaf: Leaf) -> None:
    """Writes a kubeconfig with everything embedded, readable by its owner only."""

    def embedded(file: str) -> str:
        return base64.b64encode((folder / file).read_bytes()).decode()

    write_private(
        path,
        f"""\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {embedded("ca.crt")}
users:
- name: {context}
  user:
    client-certificate-data: {embedded(f"{leaf.file}.crt")}
    client-key-data: {embedded(f"{leaf.file}.key")}
contexts:
- name: {context}
  context: {{cluster: {context}, user: {context}}}
""",
    )
