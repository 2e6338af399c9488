"""The whole report of the checks: every row of the catalogue, as programs and people get it.

One document wherever it is read: ``gallery-operator check -o json``, the prepare Job's log (``contract.checklog``) and
the ConfigMap of an import.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

MAX_RESULTS = 512
"""Most results that are taken from a document; the catalogue has some two hundred."""

_MAX_CHARACTERS = 2000

CheckStatus = Literal["pass", "fail", "warn", "info", "unknown", "notApplicable", "ignored"]


def printable(text: str) -> str:
    """Return text without control characters; what a disk holds must not steer a terminal.

    Args:
        text: Anything; line feeds stay.
    """
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def _clean(text: str) -> str:
    return printable(text if len(text) <= _MAX_CHARACTERS else text[: _MAX_CHARACTERS - 1] + "…")


Text = Annotated[str, AfterValidator(_clean)]
"""Text that may come from a disk: printable and at most 2000 characters, whoever wrote it."""


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )


class CheckOutcome(_Model):
    """What became of one row of the catalogue.

    Attributes:
        id: For example ``KRN002``.
        status: What became of it.
        severity: How grave it is (or would be) at the level in use.
        title: The prerequisite in one line.
        message: What was found, with its evidence.
        remedy: What to do on this distribution; empty when there is nothing to do.
        source: The document that asks for it.
    """

    id: Annotated[str, Field(pattern=r"^[A-Z]{3}[0-9]{3}$")]
    status: CheckStatus
    severity: Literal["error", "warning", "info"]
    title: Text
    message: Text = ""
    remedy: Text = ""
    source: Text = ""


class CheckedContainer(_Model):
    """The file that the disk came in.

    Attributes:
        format: For example ``qcow2``.
        compression: ``gzip``, ``xz``, ``zstd``, ``bzip2`` or None.
        virtual_size: Bytes of the disk in it.
    """

    format: Text
    compression: Text | None = None
    virtual_size: int


class CheckedAgainst(_Model):
    """What the disk was declared to be, and how strictly it was judged.

    Attributes:
        os_state: ``Generalized`` or ``Specialized``.
        hyper_v_generation: ``V1`` or ``V2``.
        architecture: ``x64`` or ``Arm64``.
        disk_role: ``os`` or ``data``.
        replication_mode: ``Full`` or ``Shallow``: which limits of size count.
        features: What the image definition claims, by name.
        level: ``Default`` or ``Strict``.
    """

    os_state: Text
    # The camel case of the library would be hyperVgeneration.
    hyper_v_generation: Annotated[Text, Field(alias="hyperVGeneration")]
    architecture: Text
    disk_role: Text
    replication_mode: Text = "Full"
    features: dict[Text, Text] = {}
    level: Text


class CheckCounts(_Model):
    """How many results have which status."""

    passed: int = 0
    errors: int = 0
    warnings: int = 0
    information: int = 0
    unknown: int = 0
    ignored: int = 0
    not_applicable: int = 0


class ChecksDocument(_Model):
    """The whole report.

    Attributes:
        image: Name of the file, or of the import.
        verdict: ``failed`` with an error; else ``unknown`` when a check that could be an error is undecided.
        distribution: For example ``debian 12``; None when it could not be read.
        architecture: Of the installed kernel or boot loader; None when it could not be read.
        container: The file.
        checked_against: What it was judged by.
        summary: Counts.
        notes: What the reader noticed, for example file systems that it could not read.
        results: One a row, in the catalogue's order.
        truncated: Texts or results were cut, because there was no room for all.
    """

    image: Text
    verdict: Literal["ok", "failed", "unknown"]
    distribution: Text | None = None
    architecture: Text | None = None
    container: CheckedContainer
    checked_against: CheckedAgainst
    summary: CheckCounts
    notes: tuple[Text, ...] = ()
    results: Annotated[tuple[CheckOutcome, ...], Field(max_length=MAX_RESULTS)] = ()
    truncated: bool = False
