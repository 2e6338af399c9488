"""The periodic look for what imports have left: counted, told, and left to a person (see ``docs/adr``)."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gallery_operator.api import Gallery, VhdImport
from gallery_operator.azure.errors import AzureError
from gallery_operator.azure.resource_ids import ResourceId
from gallery_operator.planning import jobs, temporaries
from gallery_operator.planning.temporaries import Temporary
from gallery_operator.reconcilers.context import Context
from gallery_operator.reconcilers.halt import Halt
from gallery_operator.reconcilers.scope import gallery_of_object
from gallery_operator.runtime.temporaries import CLUSTER_KINDS, Swept

_log = logging.getLogger(__name__)

_SELECTOR = f"{jobs.MANAGED_BY_LABEL}={jobs.MANAGED_BY},{jobs.COMPONENT_LABEL}"
_JOBS = f"{_SELECTOR} in (prepare,upload)"
_CLAIMS = f"{_SELECTOR}=scratch"


class Sweep:
    """Looks for what imports have left; remembers from one look to the next what was suspected.

    Args:
        ctx: Context.
        swept: Where the counts go.
        namespaces: Namespaces that are served; empty: all.
    """

    def __init__(self, ctx: Context, swept: Swept, namespaces: Sequence[str] = ()) -> None:
        self._ctx = ctx
        self._swept = swept
        self._namespaces = namespaces
        self._suspected: list[Temporary] = []
        self._told: set[Temporary] = set()

    async def run(self) -> list[Temporary]:
        """Look once.

        Returns:
            What is abandoned.

        Raises:
            KubeError: Something could not be listed.
        """
        ctx = self._ctx
        found = temporaries.of_cluster("Job", await self._list("Job", _JOBS))
        found += temporaries.of_cluster("ScratchClaim", await self._list("PersistentVolumeClaim", _CLAIMS))
        self._swept.present = Counter(each.kind for each in found if each.kind in CLUSTER_KINDS)
        disks = await self._disks(await self._list(Gallery.kind_name))
        found += temporaries.of_azure(disks, ctx.settings.cluster, self._namespaces)
        # After the others: what an import has made since is not taken for left behind.
        alive = {str(each["metadata"]["uid"]) for each in await self._list(VhdImport.kind_name)}
        abandoned, self._suspected = temporaries.abandoned(found, alive, self._suspected)
        self._swept.abandoned = Counter(each.kind for each in abandoned)
        for each in abandoned:
            if each not in self._told:
                _log.warning(
                    "abandoned: %s %s was made for %s (uid %s), which no longer exists: delete it when nothing uses it",
                    each.kind,
                    each.where,
                    each.owner,
                    each.owner_uid,
                )
        self._told = set(abandoned)
        return abandoned

    async def _list(self, kind: str, selector: str | None = None) -> list[dict[str, Any]]:
        found = []
        for namespace in self._namespaces or (None,):
            found += await self._ctx.kube.list(kind, namespace, selector)
        return found

    async def _disks(self, galleries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the disks of the resource groups in which staging disks are made: those of the galleries."""
        found: list[dict[str, Any]] = []
        seen: set[str] = set()
        for body in galleries:
            try:
                scope = await gallery_of_object(self._ctx, Gallery.model_validate(body))
                gallery = ResourceId.parse(scope.resource_id)
                group = f"/subscriptions/{gallery.subscription_id}/resourceGroups/{gallery.resource_group}"
                if group.lower() in seen:
                    continue
                found += await scope.arm.list(f"{group}/providers/Microsoft.Compute/disks")
                seen.add(group.lower())
            except (Halt, AzureError, ValueError) as error:
                # The gallery itself says what is wrong; another one may know the same resource group.
                _log.debug("no look at the disks beside a gallery: %s", error)
        return found
