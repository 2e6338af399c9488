"""``managementPolicy: Observe``: what is in Azure is read and told, never changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from gallery_operator.api.meta import Difference
from gallery_operator.planning.outcome import Done, Report, Stalled, Waiting
from gallery_operator.reconcilers.common import BUSY_STATES, field_names, properties
from gallery_operator.reconcilers.halt import Halt

_ABSENT_SECONDS = 60.0
_BUSY_SECONDS = 30.0


def report(what: str, existing: Mapping[str, Any], differences: Sequence[Difference], fields: dict[str, Any]) -> Report:
    """Say what was observed.

    Args:
        what: What exists, for messages: ``Gallery <id>``.
        existing: It, as Azure answers it.
        differences: How it differs from the spec.
        fields: Fields of ``status`` that the kind reports.

    Returns:
        Ready when Azure says that the resource is, whether or not it differs.
    """
    fields = {**fields, "differences": [each.to_wire() for each in differences] or None}
    state = properties(existing).get("provisioningState")
    if state in BUSY_STATES:
        return Report(Waiting("Progressing", f"{what} is {str(state).lower()}.", _BUSY_SECONDS), fields)
    if state == "Failed":
        message = f"{what} is in provisioningState Failed. It is only observed: mend it where it is managed."
        return Report(Stalled("Failed", message), fields)
    return Report(Done(_told(differences), "Observed"), fields)


def absent(what: str) -> Halt:
    """Return the end of a reconcile whose resource is not there.

    Args:
        what: What does not exist, for the message.
    """
    return Halt(
        Waiting(
            "NotFound",
            f"{what} does not exist in Azure, and this object only observes: make it where it is managed, or set "
            "managementPolicy to Manage.",
            _ABSENT_SECONDS,
        ),
        provisioningState=None,
        differences=None,
    )


def _told(differences: Sequence[Difference]) -> str:
    if not differences:
        return "Observed; Azure has what is written here."
    return f"Observed; Azure differs in {field_names(differences)}; nothing is changed."
