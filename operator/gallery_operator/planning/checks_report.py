"""The ConfigMap with the whole report of an import's checks, and what it means that there is none."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gallery_operator.api import GROUP, VhdImport
from gallery_operator.planning import jobs
from gallery_operator.planning.names import child_name

JOB_ANNOTATION = f"{GROUP}/job-uid"
"""On the ConfigMap: the prepare Job whose report it holds."""
LOG_PATIENCE_SECONDS = 60.0
"""How long after a Job's end its log is asked for when the node does not answer."""

_PURPOSE = "prerequisites"


def name_of(vhd_import: VhdImport) -> str:
    """Return the name of an import's ConfigMap."""
    return child_name(vhd_import.metadata.name, _PURPOSE)


def config_map(vhd_import: VhdImport, job_uid: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the ConfigMap; Kubernetes removes it with the import.

    Args:
        vhd_import: Its owner.
        job_uid: The Job whose report it is.
        texts: Content by key.
    """
    metadata = {
        "name": name_of(vhd_import),
        "namespace": vhd_import.metadata.namespace,
        "labels": jobs.labels(vhd_import, _PURPOSE),
        "annotations": {JOB_ANNOTATION: job_uid},
        "ownerReferences": [jobs.owner_reference(vhd_import)],
    }
    return {"metadata": metadata, "data": dict(texts)}


def is_of_job(body: Mapping[str, Any], vhd_import: VhdImport, job_uid: str) -> bool:
    """Whether a ConfigMap holds the report of this very Job already."""
    annotations = body["metadata"].get("annotations") or {}
    return jobs.is_owned(body, vhd_import) and annotations.get(JOB_ANNOTATION) == job_uid


def may_replace(body: Mapping[str, Any], vhd_import: VhdImport) -> bool:
    """Whether a ConfigMap was made for this import, or for one before it of the same name."""
    return any(
        (each.get("kind"), each.get("name")) == (vhd_import.kind_name, vhd_import.metadata.name)
        for each in body["metadata"].get("ownerReferences") or ()
    )


def still_worth_asking(finished_at: str | None, now: datetime) -> bool:
    """Whether a log that cannot be read now is waited for."""
    return (
        finished_at is not None and (now - datetime.fromisoformat(finished_at)).total_seconds() < LOG_PATIENCE_SECONDS
    )
