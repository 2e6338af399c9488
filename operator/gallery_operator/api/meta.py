"""What all kinds share: base models, metadata, conditions, policies, rules.

Rules are CEL expressions that the API server evaluates (``x-kubernetes-validations``); each has a message that
says what to write instead. Field names are ARM's wherever the meaning is the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

GROUP = "gallery-operator.dev"
VERSION = "v1alpha1"
FINALIZER = f"{GROUP}/finalizer"
RECONCILE_ANNOTATION = f"{GROUP}/reconcile-requested-at"
"""Annotation by which a person asks for a reconcile, or for another try of a failed import."""
PATTERN_MESSAGE = "x-pattern-message"
"""Key in a field's JSON schema: the sentence that replaces the API server's "should match '^...$'"."""

Time = AwareDatetime
"""A point in time; with its offset, because the API server refuses a time without one."""


class ApiModel(BaseModel):
    """Base of everything in a custom resource: camelCase on the wire, frozen in memory.

    Unknown fields are ignored: the API server has pruned them already, and a newer CRD may know more.
    """

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    rules: ClassVar[tuple["Rule", ...]] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return the JSON form with camelCase names; fields that are None are left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@dataclass(frozen=True)
class Rule:
    """A CEL rule of a model (``x-kubernetes-validations``).

    Attributes:
        rule: CEL expression over ``self`` (and ``oldSelf`` for a transition rule).
        message: Sentence shown by ``kubectl apply`` when the rule is broken.
        field_path: Path of the field to name, relative to the model (``.version``), or None.
    """

    rule: str
    message: str
    field_path: str | None = None

    def to_schema(self) -> dict[str, str]:
        """Return the rule as an item of ``x-kubernetes-validations``."""
        result = {"rule": self.rule, "message": self.message}
        if self.field_path is not None:
            result["fieldPath"] = self.field_path
        return result


def exactly_one(fields: Sequence[str], message: str) -> Rule:
    """Return a rule: exactly one of the fields is set."""
    return Rule("[" + ", ".join(f"has(self.{name})" for name in fields) + "].filter(x, x).size() == 1", message)


def at_most_one(fields: Sequence[str], message: str) -> Rule:
    """Return a rule: at most one of the fields is set."""
    return Rule("[" + ", ".join(f"has(self.{name})" for name in fields) + "].filter(x, x).size() <= 1", message)


def immutable(field: str, why: str) -> Rule:
    """Return a rule: a field, once the object exists, is neither changed nor added nor removed.

    Args:
        field: Name of the field in JSON.
        why: What to do instead, as a clause: the message reads ``<field> cannot be changed: <why>``.
    """
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"{field} cannot be changed: {why}",
        f".{field}" if not field.startswith("_") else None,
    )


def text(
    pattern: str, message: str, *, max_length: int, min_length: int = 1, description: str | None = None
) -> Any:  # what pydantic.Field says it returns
    """Return the field information of a string that must match a pattern.

    Args:
        pattern: Regular expression in what Rust's ``regex`` (pydantic) and RE2 (the API server) have in common; the
            class of word characters is not: it is ASCII in RE2.
        message: Sentence shown by ``kubectl apply`` when the pattern does not match.
        max_length: In characters; the API server needs it to bound the cost of the rule.
        min_length: In characters.
        description: Of the field; None where the field using the type gives its own.
    """
    return Field(
        pattern=pattern,
        min_length=min_length,
        max_length=max_length,
        description=description,
        json_schema_extra={PATTERN_MESSAGE: message},
    )


def arm_id(resource_type: str, what: str, *, description: str | None = None) -> Any:
    """Return the field information of an ARM id of one resource type.

    Args:
        resource_type: For example ``Microsoft.Compute/galleries``.
        what: With an article, for the message: ``a gallery``.
        description: Of the field; default: ``ARM id of <what>.``
    """
    provider, *types = resource_type.split("/")
    segments = "".join(f"/{name}/[^/?#]+" for name in types)
    path = f"/subscriptions/[^/?#]+/resourceGroups/[^/?#]+/providers/{re.escape(provider)}{segments}"
    example = "".join(f"/{name}/<name>" for name in types)
    return text(
        f"(?i)^{path}$",  # ARM does not heed the case of ids
        f"this must be the ARM id of {what}: /subscriptions/<id>/resourceGroups/<name>/providers/{provider}{example}",
        max_length=1024,
        description=description or f"ARM id of {what}.",
    )


BlobContainer = Annotated[
    str,
    text(
        r"^(\$root|[a-z0-9]+(-[a-z0-9]+)*)$",
        "a container's name has lower case letters, digits and single dashes, and starts and ends with a letter "
        "or digit (Azure's rule)",
        min_length=3,
        max_length=63,
    ),
]


@dataclass(frozen=True)
class Column:
    """A column of ``kubectl get``.

    Attributes:
        name: Heading.
        path: JSONPath into the object.
        type: ``string``, ``integer`` or ``date``.
        priority: 0: always shown; 1: with ``-o wide``.
        description: Shown by ``kubectl explain``-like tools.
    """

    name: str
    path: str
    type: str = "string"
    priority: int = 0
    description: str = ""


READY_COLUMN = Column("Ready", '.status.conditions[?(@.type=="Ready")].status')
MESSAGE_COLUMN = Column("Message", '.status.conditions[?(@.type=="Ready")].message', priority=1)
AGE_COLUMN = Column("Age", ".metadata.creationTimestamp", type="date")

DeletionPolicy = Annotated[
    Literal["Delete", "Retain"],
    Field(
        description="What happens in Azure when this object is deleted: Delete removes what it made, Retain leaves it."
    ),
]
ManagementPolicy = Annotated[
    Literal["Manage", "Observe"],
    Field(
        description="Manage: Azure is brought to what this object says. Observe: Azure is only read; status tells what "
        "is there and how it differs, and deleting this object leaves everything in Azure."
    ),
]
AdoptionPolicy = Annotated[
    Literal["Refuse", "Adopt"],
    Field(
        description="What to do when the resource exists in Azure and nothing says that it is ours: "
        "Refuse leaves it untouched and says so, Adopt takes it over."
    ),
]
_TAG_RULES = (
    Rule(
        r"self.all(name, name.size() <= 512 && !name.matches(r'[<>%&\\?/]'))",
        "a tag's name has at most 512 characters and none of < > % & \\ ? / (Azure's rule): give it another name",
    ),
    Rule(
        f"self.all(name, !name.startsWith('{GROUP}-'))",
        f"tags that begin with {GROUP}- say who owns the resource, and the operator sets them itself: take them out",
    ),
)
Tags = Annotated[
    dict[str, Annotated[str, Field(max_length=256)]],
    Field(
        description="Tags of the Azure resource; the operator adds its own ownership tags.",
        max_length=40,  # Azure allows 50
        json_schema_extra={"x-kubernetes-validations": [rule.to_schema() for rule in _TAG_RULES]},
    ),
]
VERSION_PATTERN = r"^[0-9]{1,10}\.[0-9]{1,10}\.[0-9]{1,10}$"
"""Of the name of an image version."""

ManagedFields = Annotated[tuple[Annotated[str, Field(max_length=1024)], ...], Field(max_length=1024)]
ObjectName = Annotated[str, Field(min_length=1, max_length=253, description="Name of the object.")]
Region = Annotated[
    str,
    text(
        r"^[A-Za-z0-9 ]+$",
        "a region is written as `westeurope` or as `West Europe`",
        max_length=64,
        description="Azure region, as `westeurope` or as `West Europe`.",
    ),
]
ResourceGroupName = Annotated[
    str,
    text(
        r"^[-\p{L}\p{N}_.()]*[-\p{L}\p{N}_()]$",
        "a resource group's name has letters, digits, '-', '_', '.', '(' and ')' only, and does not end with '.' "
        "(Azure's rule)",
        max_length=90,
        description="Resource group; it must exist.",
    ),
]
SubscriptionId = Annotated[
    str,
    text(
        r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$",
        "a subscription is named by its id, for example 00000000-0000-0000-0000-000000000000",
        max_length=36,
        description="Subscription; default: the one named by the credential.",
    ),
]


class LocalRef(ApiModel):
    """A reference to an object in the same namespace."""

    name: ObjectName


CaBundleRef = Annotated[
    LocalRef, Field(description="ConfigMap of this namespace with PEM certificates under the key `ca.crt`.")
]


class Condition(ApiModel):
    """A condition in the Kubernetes sense (KEP-1623).

    ``Ready`` is always there; ``Reconciling`` and ``Stalled`` only while True (the kstatus convention). Further types
    tell what decides nothing.

    Attributes:
        type: `Ready`, `Reconciling`, `Stalled`, or a type that only some kinds have.
        status: `True`, `False` or `Unknown`.
        reason: Why, in one word for programs.
        message: Why, and what to do next, for people.
        last_transition_time: When `status` last changed.
        observed_generation: `metadata.generation` that this condition describes.
    """

    type: Annotated[str, Field(max_length=316)]
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    message: Annotated[str, Field(max_length=32768)] = ""
    last_transition_time: Time
    observed_generation: Annotated[int, Field(ge=0)] | None = None


class Difference(ApiModel):
    """A field in which Azure differs from the spec.

    Attributes:
        field: Path of the field, in ARM's words.
        found: What Azure has; absent when it has nothing there.
        wanted: What the spec asks for; absent when the spec does not have it.
    """

    field: Annotated[str, Field(max_length=512)]
    found: str | None = None
    wanted: str | None = None


class Spec(ApiModel):
    """What the specs of all kinds have."""

    management_policy: ManagementPolicy = "Manage"


class Status(ApiModel):
    """What every kind reports.

    Attributes:
        observed_generation: ``metadata.generation`` that this status describes.
        conditions: One per type.
        resource_id: ARM id of the resource in Azure.
        provisioning_state: ARM ``provisioningState``.
        differences: How Azure differs from the spec, where the operator does not (or not yet) act on it: what is only
            observed, and what exists already and is not to be adopted.
        credential_secrets: Secrets with a credential that are kept until this object has cleaned up.
        finalized: All is cleaned up; the object goes when its finalizer is removed.
    """

    observed_generation: int | None = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
            max_length=16,
        ),
    ] = ()
    resource_id: str | None = None
    provisioning_state: str | None = None
    differences: Annotated[tuple[Difference, ...], Field(max_length=64)] = ()
    credential_secrets: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    finalized: bool | None = None


class OwnerReference(ApiModel):
    """An entry of ``metadata.ownerReferences``."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None


class Metadata(ApiModel):
    """The part of ``metadata`` that the operator reads."""

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    finalizers: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    owner_references: tuple[OwnerReference, ...] = ()


class Resource(ApiModel):
    """Base of the four kinds.

    Attributes:
        kind: ``kind`` in JSON, set by each subclass.
        plural: Path segment of the REST endpoint.
        short_name: Short name for ``kubectl``.
        columns: Columns of ``kubectl get``.
        root_rules: CEL rules over the whole object (they may look at ``self.metadata.name``).
    """

    kind_name: ClassVar[str]
    plural: ClassVar[str]
    short_name: ClassVar[str]
    description: ClassVar[str]
    columns: ClassVar[tuple[Column, ...]]
    root_rules: ClassVar[tuple[Rule, ...]] = ()

    metadata: Metadata
    spec: Spec
    status: Status

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @classmethod
    def from_wire(cls, body: Mapping[str, JsonValue]) -> "Resource":
        """Parse an object as the API server returned it.

        Raises:
            pydantic.ValidationError: The object does not fit the model (for example it was stored under an older CRD).
        """
        return cls.model_validate(body)
