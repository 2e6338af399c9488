"""Kubernetes Events, de-duplicated: the same news of an object is told once, then counted on the same Event."""

import hashlib
import logging
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Literal

from gallery_operator import metrics
from gallery_operator.api import GROUP, VERSION, Resource
from gallery_operator.kube import KubeError, KubeGateway
from gallery_operator.redact import redact

_log = logging.getLogger(__name__)
_REMEMBERED = 4096
_MESSAGE_CHARACTERS = 1024
EventType = Literal["Normal", "Warning"]


class EventRecorder:
    """Posts Events; a failure to post never disturbs a reconcile."""

    def __init__(self, kube: KubeGateway, identity: str) -> None:
        """Prepare to post.

        Args:
            kube: Gateway to the API.
            identity: Name of this process, for ``reportingInstance``.
        """
        self._kube = kube
        self._identity = identity
        self._posted: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    async def post(self, resource: Resource, kind: EventType, reason: str, message: str) -> None:
        """Tell something about an object; the same reason and message in a row is told once.

        The Event's name is derived from object, reason and message: after a restart the same news meets the Event
        that is there already and is not posted again either.
        """
        text = redact(message)[:_MESSAGE_CHARACTERS]
        digest = hashlib.sha256(f"{kind}/{reason}/{text}".encode()).hexdigest()[:16]
        memory = (resource.metadata.uid, reason, digest)
        if memory in self._posted:
            self._posted.move_to_end(memory)
            return
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body: dict[str, Any] = {
            "metadata": {
                "namespace": resource.metadata.namespace,
                "name": f"{resource.metadata.name[:200].rstrip('-.')}.{resource.metadata.uid[:8]}.{digest}",
            },
            "involvedObject": {
                "apiVersion": f"{GROUP}/{VERSION}",
                "kind": resource.kind_name,
                "namespace": resource.metadata.namespace,
                "name": resource.metadata.name,
                "uid": resource.metadata.uid,
            },
            "type": kind,
            "reason": reason,
            "message": text,
            "source": {"component": "gallery-operator"},
            "reportingComponent": "gallery-operator.dev/controller",
            "reportingInstance": self._identity[:128],
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._kube.create("Event", body)
            metrics.EVENTS.labels(type=kind).inc()
        except KubeError as error:
            if error.reason.value != "AlreadyExists":
                _log.warning("event %s of %s not posted: %s", reason, resource.key, error)
                return
        self._posted[memory] = None
        while len(self._posted) > _REMEMBERED:
            self._posted.popitem(last=False)
