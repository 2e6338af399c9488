"""Names and places of one cluster on this machine; everything else is derived from its name."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.localcluster.errors import ClusterError

REPO_ROOT = Path(__file__).resolve().parents[2]
DEFAULT_NAME = "gallery-operator"

# Each node has a network namespace of its own, so these are the same in every instance.
POD_CIDR = "10.244.0.0/16"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
API_PORT = 6443


@dataclass(frozen=True)
class Instance:
    """One cluster.

    Attributes:
        name: its name, also that of its only node.
        cache: the project's cache folder.
    """

    name: str
    cache: Path

    def __post_init__(self) -> None:
        # The name becomes a node name, a host name, a cgroup and part of paths.
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,48}[a-z0-9])?", self.name):
            raise ClusterError(
                f"'{self.name}' cannot name a cluster: 1 to 50 lower-case letters, digits and dashes, "
                "no dash at either end. It is taken from GALLERY_OPERATOR_CLUSTER."
            )

    @classmethod
    def from_environment(cls) -> Instance:
        """The instance that GALLERY_OPERATOR_CLUSTER names, in the cache GALLERY_OPERATOR_CACHE names."""
        return cls(os.environ.get("GALLERY_OPERATOR_CLUSTER") or DEFAULT_NAME, cache_folder())

    @property
    def state(self) -> Path:
        """Folder with everything that belongs to this cluster and nothing else."""
        return self.cache / "clusters" / self.name

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def conf(self) -> Path:
        return self.state / "conf"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def record(self) -> Path:
        """The file that says which process is this cluster's supervisor."""
        return self.state / "supervisor.json"

    @property
    def status_file(self) -> Path:
        """The file in which the supervisor says how its processes are."""
        return self.state / "components.json"

    @property
    def context(self) -> str:
        """Name of the context in the kubeconfig; tests refuse contexts that do not look like it."""
        return f"gallery-operator-local-{self.name}"

    @property
    def link(self) -> str:
        """Name of the host's end of the link to the node; Linux allows 15 characters."""
        digest = hashlib.sha256(str(self.state).encode()).hexdigest()
        return f"gallop-{digest[:8]}"

    @property
    def cgroup(self) -> str:
        """Path of the node's cgroup below the root of each hierarchy; the digest keeps caches apart."""
        return f"gallery-operator/{self.name}-{self.link[-8:]}"

    @property
    def lock_file(self) -> Path:
        """Beside the state folder, not in it: `down` removes that."""
        return self.state.with_name(f".{self.name}.lock")

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Lets one `up` or `down` of this cluster run at a time, in any process.

        Whoever holds the lock may remove its file: the next one makes a new one.
        """
        self.lock_file.parent.mkdir(parents=True, exist_ok=True)
        while True:
            descriptor = os.open(self.lock_file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            try:
                if os.geteuid() == 0:
                    # Root may act for somebody else here, who needs the lock later.
                    owner = self.cache.stat()
                    os.fchown(descriptor, owner.st_uid, owner.st_gid)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if not self._is_lock_file(descriptor):
                    continue  # removed while this process waited for it
                yield
                return
            finally:
                os.close(descriptor)

    def _is_lock_file(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.lock_file.stat())
        except FileNotFoundError:
            return False


def cache_folder() -> Path:
    """The project's cache folder, the same as in hack/lib/common.sh."""
    explicit = os.environ.get("GALLERY_OPERATOR_CACHE")
    if explicit:
        return Path(explicit).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "gallery-operator"
