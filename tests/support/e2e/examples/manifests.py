"""The files of docs/examples, as they are applied."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import yaml
from tests.support.e2e import names
from tests.support.e2e.shell import ROOT

Json = dict[str, Any]
FOLDER = ROOT / "docs/examples"
FILES = tuple(sorted(path.name for path in FOLDER.glob("*.yaml")))
NAMESPACES = {
    ("gallery-shared-namespaces.yaml", "Gallery"): "platform",
    ("gallery-shared-namespaces.yaml", "GalleryImageDefinition"): "team-a",
}
"""Where documents go whose text says in which namespace they are; all others go to one namespace of ours."""
_ARTIFACT = re.compile(r"^ *reference: registry\.example\.org/([a-z0-9/-]+)")
BLOBS = "https://azurite.azure-simulator.svc:10000/images/"


@dataclass(frozen=True)
class Substitutions:
    """All that is changed in an example before it is applied: what only the Internet, or Azure, has.

    Attributes:
        sums: ``sha256:…`` of what the disk server serves, by file name; of an artifact's manifest by its repository.
    """

    sums: dict[str, str]

    def apply(self, text: str) -> str:
        """Return the text of an example with hosts that exist, and the checksums of what they serve."""
        text = text.replace("https://images.blob.core.windows.net/", BLOBS)
        text = text.replace("https://minio.example.org", f"http://{names.EXAMPLES_HOST}")
        lines, served = [], ""
        for line in text.replace("https://images.example.org/", f"http://{names.EXAMPLES_HOST}/").splitlines():
            if f"http://{names.EXAMPLES_HOST}/" in line or line.strip().startswith("key: "):
                served = line.split()[-1].rsplit("/", 1)[-1]
            if (artifact := _ARTIFACT.search(line)) is not None:
                served = artifact[1]
                line = line.replace("registry.example.org", names.EXAMPLES_HOST)
                lines.append(line[: line.index("reference:")] + "insecure: true")
            lines.append(line.replace(f"sha256:{64 * '0'}", self.sums.get(served, "")))
        return "\n".join(lines)


def documents(file: str, substitutions: Substitutions, namespace: str) -> list[Json]:
    """Return the objects of an example with the namespace that each goes to."""
    found: list[Json] = []
    for document in yaml.safe_load_all(substitutions.apply((FOLDER / file).read_text())):
        document["metadata"]["namespace"] = NAMESPACES.get((file, document["kind"]), namespace)
        found.append(document)
    return found
