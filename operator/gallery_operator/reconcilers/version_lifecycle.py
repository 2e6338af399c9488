"""What time and the definition's retention say of a version that is there."""

from dataclasses import replace
from datetime import datetime

from gallery_operator.api import GalleryImageDefinition, ImageVersion
from gallery_operator.api.lifecycle import RetentionDue
from gallery_operator.planning import endoflife
from gallery_operator.planning.outcome import Done, Report


def with_lifecycle(version: ImageVersion, definition: GalleryImageDefinition, report: Report, now: datetime) -> Report:
    """Add the end of life, and whether the definition's retention lists the version as due.

    Args:
        version: The version.
        definition: Its definition, read live; its status says what is due.
        report: What is reported otherwise.
        now: Present time.
    """
    due = _due(version, definition)
    events = report.events
    if due is not None and version.status.retention != due:
        then = "The object is deleted when the notice is over" if due.action == "DeleteObject" else "Nothing is deleted"
        name = version.spec.definition_ref.name
        events += (("Normal", "RetentionDue", f"No retention rule of {name} keeps it ({due.reason}). {then}."),)
    end = version.spec.end_of_life_date
    outcome = report.outcome
    if isinstance(outcome, Done):
        outcome = replace(outcome, recheck=endoflife.seconds_until((end,), now))
    return replace(
        report,
        outcome=outcome,
        status={**report.status, "retention": due.to_wire() if due is not None else None},
        events=events,
        conditions=(*report.conditions, endoflife.finding("The version", end, now)),
    )


def _due(version: ImageVersion, definition: GalleryImageDefinition) -> RetentionDue | None:
    listed = definition.status.retention.due if definition.status.retention is not None else ()
    for each in listed:
        if each.object == version.metadata.name:
            return RetentionDue(since=each.since, reason=each.reason, action=each.action)
    return None
