"""Sharing of a gallery: what Azure has, and the next call that brings it closer to the spec. Pure.

Calls are scarce (10 in 3 minutes), so one call adds everybody and one removes everybody. Azure lets a gallery have
direct sharing only from its creation, and goes back to Private only by Reset.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gallery_operator.api.sharing import SharingProfile

_INFO = ("publisherUri", "publisherContact", "eula", "publicNamePrefix")
_SUBSCRIPTIONS, _TENANTS = "Subscriptions", "AADTenants"


@dataclass(frozen=True)
class Observed:
    """How Azure shares a gallery.

    Attributes:
        permissions: ``Private``, ``Groups`` or ``Community``.
        subscriptions: Ids that it is shared with, as Azure spells them.
        tenants: Ids that it is shared with.
        info: ``communityGalleryInfo``.
        state: ``sharingStatus.aggregatedState``, or None.
        regions: ``sharingStatus.summary``.
    """

    permissions: str = "Private"
    subscriptions: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    info: Mapping[str, Any] | None = None
    state: str | None = None
    regions: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_community_enabled(self) -> bool:
        """Whether everybody can see the gallery."""
        return bool((self.info or {}).get("communityGalleryEnabled"))

    @property
    def public_names(self) -> tuple[str, ...]:
        """Names by which everybody finds it."""
        return tuple(str(name) for name in (self.info or {}).get("publicNames") or ())


@dataclass(frozen=True)
class ShareCall:
    """A call of ``share``.

    Attributes:
        body: Its body.
        message: What it does, for people.
        narrows: It takes access away, so that it must not wait for regions that are slow.
    """

    body: Mapping[str, Any]
    message: str
    narrows: bool = False


@dataclass(frozen=True)
class SetProfile:
    """A PUT of the gallery with the profile of the spec."""

    message: str


@dataclass(frozen=True)
class Impossible:
    """Azure never does what the spec asks for.

    Attributes:
        message: Why, and what to do instead.
    """

    message: str


Step = ShareCall | SetProfile | Impossible


def observe(gallery: Mapping[str, Any]) -> Observed:
    """Read how a gallery is shared; groups are in it only when they were asked for ($expand)."""
    properties = gallery.get("properties") or {}
    profile = properties.get("sharingProfile") or {}
    status = properties.get("sharingStatus") or {}
    return Observed(
        permissions=str(profile.get("permissions") or "Private"),
        subscriptions=_ids(profile.get("groups"), _SUBSCRIPTIONS),
        tenants=_ids(profile.get("groups"), _TENANTS),
        info=profile.get("communityGalleryInfo"),
        state=status.get("aggregatedState"),
        regions=tuple(status.get("summary") or ()),
    )


def profile_body(profile: SharingProfile) -> dict[str, Any]:
    """Return ``sharingProfile`` as a PUT takes it: without groups, which only ``share`` changes."""
    body: dict[str, Any] = {"permissions": profile.permissions}
    if profile.community_gallery_info is not None:
        body["communityGalleryInfo"] = profile.community_gallery_info.to_wire()
    return body


def kept_profile(existing: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the ``sharingProfile`` of a gallery to send back with a change of something else, or None."""
    have = observe(existing)
    if have.permissions == "Private":
        return None
    body: dict[str, Any] = {"permissions": have.permissions}
    if have.info is not None:
        body["communityGalleryInfo"] = {name: have.info[name] for name in _INFO if have.info.get(name) is not None}
    return body


def next_step(wanted: SharingProfile | None, have: Observed) -> Step | None:
    """Return the next call that brings Azure closer to the spec, or None when it is as wanted.

    Args:
        wanted: ``spec.sharingProfile``; None leaves everything as it is.
        have: How Azure shares the gallery, groups included.
    """
    if wanted is None:
        return None
    match wanted.permissions, have.permissions:
        case "Private", "Private":
            return None
        case "Private", _:
            return _reset("Ending the sharing: the gallery becomes private.")
        case "Groups", "Groups":
            return _groups_step(wanted, have)
        case "Groups", "Private":
            return SetProfile("Asking for direct sharing.")
        case "Groups", other:
            return Impossible(
                f"The gallery's permissions are {other} in Azure and cannot become Groups, which only a new gallery "
                "can have. Make a new Gallery with permissions Groups, or correct permissions"
            )
        case "Community", "Groups":
            return _reset("Ending direct sharing, before the gallery becomes a community gallery.")
        case "Community", "Private":
            return SetProfile("Preparing the community gallery.")
    if _info_differs(wanted, have):
        return SetProfile("Updating what everybody sees of the community gallery.")
    if not have.is_community_enabled:
        return ShareCall({"operationType": "EnableCommunity"}, "Sharing the gallery with everybody.")
    return None


def reset_body() -> dict[str, Any]:
    """Return the body of the ``share`` call that makes a gallery private."""
    return {"operationType": "Reset"}


def status(have: Observed, assignments: int) -> dict[str, Any]:
    """Return ``status.sharing`` in wire form.

    Args:
        have: How Azure shares the gallery.
        assignments: How many role assignments hold.
    """
    regions = [
        {"region": str(each.get("region")), "state": each.get("state"), "details": each.get("details")}
        for each in have.regions
        if each.get("region")
    ]
    return {
        "summary": summary(have, assignments),
        "permissions": have.permissions,
        "communityGalleryEnabled": have.is_community_enabled if have.permissions == "Community" else None,
        "publicNames": list(have.public_names) or None,
        "aggregatedState": have.state,
        "regions": sorted(regions, key=lambda each: str(each["region"])) or None,
        "subscriptions": sorted(have.subscriptions) or None,
        "tenants": sorted(have.tenants) or None,
    }


def summary(have: Observed, assignments: int) -> str:
    """Say in a few words how a gallery is shared; for the column of ``kubectl get``."""
    parts = []
    if have.permissions == "Groups":
        counts = [_count(len(have.subscriptions), "subscription"), _count(len(have.tenants), "tenant")]
        told = ", ".join(count for count in counts if not count.startswith("0"))
        parts.append(f"Direct ({told or 'nobody'})")
    elif have.permissions == "Community":
        parts.append("Community" if have.is_community_enabled else "Community (not enabled)")
    if assignments:
        parts.append(f"RBAC ({assignments})")
    return " + ".join(parts) or "Private"


def failed_regions(have: Observed) -> str | None:
    """Return what failed in which region, for a message; None when nothing did."""
    failed = [each for each in have.regions if each.get("state") == "Failed"]
    if not failed and have.state != "Failed":
        return None
    told = "; ".join(f"{each.get('region')}: {each.get('details') or 'no details'}" for each in failed)
    return told or "Azure does not say where"


def _groups_step(wanted: SharingProfile, have: Observed) -> Step | None:
    groups = wanted.groups
    subscriptions = {each.lower(): each for each in (groups.subscriptions if groups else ())}
    tenants = {each.lower(): each for each in (groups.tenants if groups else ())}
    extra = _groups(
        [each for each in have.subscriptions if each.lower() not in subscriptions],
        [each for each in have.tenants if each.lower() not in tenants],
    )
    if extra:  # before anybody is added: a list that is full has no room otherwise
        return ShareCall(
            {"operationType": "Remove", "groups": extra}, f"No longer sharing with {_told(extra)}.", narrows=True
        )
    missing = _groups(
        [each for key, each in subscriptions.items() if key not in {there.lower() for there in have.subscriptions}],
        [each for key, each in tenants.items() if key not in {there.lower() for there in have.tenants}],
    )
    if missing:
        return ShareCall({"operationType": "Add", "groups": missing}, f"Sharing with {_told(missing)}.")
    return None


def _groups(subscriptions: list[str], tenants: list[str]) -> list[dict[str, Any]]:
    every = ((_SUBSCRIPTIONS, subscriptions), (_TENANTS, tenants))
    return [{"type": kind, "ids": ids} for kind, ids in every if ids]


def _told(groups: list[dict[str, Any]]) -> str:
    names = {_SUBSCRIPTIONS: "subscription", _TENANTS: "tenant"}
    return " and ".join(_count(len(each["ids"]), names[each["type"]]) for each in groups)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _reset(message: str) -> ShareCall:
    return ShareCall(reset_body(), message, narrows=True)


def _info_differs(wanted: SharingProfile, have: Observed) -> bool:
    info = wanted.community_gallery_info
    there = have.info or {}
    return info is not None and any(there.get(name) != value for name, value in info.to_wire().items())


def _ids(groups: Iterable[Mapping[str, Any]] | None, kind: str) -> tuple[str, ...]:
    return tuple(
        str(identity) for each in groups or () if each.get("type") == kind for identity in each.get("ids") or ()
    )
