"""Identifiers, regions, VHD footers, signatures, tokens, faults, budgets."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from azure.storage.blob import generate_blob_sas
from azure_simulator import sas
from azure_simulator.arm import template
from azure_simulator.clock import Clock
from azure_simulator.entra import Entra, TokenRefusedError, read_claims
from azure_simulator.errors import ArmError
from azure_simulator.faults import Fault, Faults, RegionFault, parse_fault
from azure_simulator.ids import ResourceId, parse_id, parse_path
from azure_simulator.regions import REGIONS, find
from azure_simulator.throttle import Budget, Throttle, budgets_for
from azure_simulator.vhd import FOOTER_BYTES, MIB, build_footer, footer_problem, parse_footer
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.text("abcXYZ019-_.", min_size=1, max_size=12).filter(lambda text: text.strip("."))
KEY = base64.b64encode(b"k" * 64).decode()


@given(NAMES, NAMES, st.lists(st.tuples(st.sampled_from(["galleries", "images", "versions"]), NAMES), min_size=1))
def test_ids_round_trip(subscription: str, group: str, pairs: list[tuple[str, str]]) -> None:
    types, names = zip(*pairs, strict=True)
    rid = ResourceId(subscription, group, "Microsoft.Compute", types, names)
    assert parse_id(rid.path) == rid
    assert parse_id(rid.path.upper().replace("/SUBSCRIPTIONS/", "/subscriptions/")) is not None


@pytest.mark.parametrize("text", ["", "x", "/subscriptions/s", "/subscriptions/s/resourceGroups/g", None, 5, "/x/y/z"])
def test_no_ids(text: Any) -> None:
    assert parse_id(text) is None


def test_paths_of_lists_and_actions() -> None:
    prefix = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries"
    listing = parse_path(prefix)
    assert listing is not None
    assert (listing.is_list, listing.types, listing.names) == (True, ("galleries",), ())
    action = parse_path(f"{prefix}/a/share")
    assert action is not None
    assert (action.action, action.names, action.is_list) == ("share", ("a",), False)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/galleries/a/images/i/versions/1.0.0",
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/galleries/{}/images/{}/versions/{}",
        ),
        (
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks/d/beginGetAccess",
            "/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Compute/disks/{}/beginGetAccess",
        ),
        (
            "/subscriptions/s/providers/Microsoft.Compute/locations/westus/capsOperations/1",
            "/subscriptions/{}/providers/Microsoft.Compute/locations/{}/capsOperations/{}",
        ),
        ("/subscriptions/s/resourceGroups/g", "/subscriptions/{}/resourceGroups/{}"),
        ("/tenant/oauth2/v2.0/token", "/{}/oauth2/v2.0/token"),
    ],
)
def test_path_templates(path: str, expected: str) -> None:
    assert template(path) == expected


@given(st.sampled_from(sorted(REGIONS)), st.sampled_from([str.upper, str.lower, str.title]))
def test_regions_are_found_in_every_spelling(name: str, spell: Any) -> None:
    region = REGIONS[name]
    assert find(spell(region.display)) == find(spell(name)) == region


def test_some_regions() -> None:
    assert find("eastus2") is not None
    assert find("eastus2").display == "East US 2"  # type: ignore[union-attr]
    assert find("centraluseuap").segment == "CentralUSEUAP"  # type: ignore[union-attr]
    assert find("westus").zones is False  # type: ignore[union-attr]
    assert find("atlantis") is None


@given(st.integers(1, 4 * 1024 * 1024))
def test_footers_round_trip(mib: int) -> None:
    size = mib * MIB
    raw = build_footer(size)
    footer = parse_footer(raw)
    assert (footer.cookie, footer.current_size, footer.disk_type, footer.checksum_ok) == (b"conectix", size, 2, True)
    assert footer_problem(raw, size + FOOTER_BYTES, "abcd", "u") is None


@pytest.mark.parametrize(
    ("position", "text"), [(0, "expected to have cookie"), (63, "Only fixed VHDs"), (70, "Only fixed VHDs")]
)
def test_footer_problems(position: int, text: str) -> None:
    raw = bytearray(build_footer(MIB))
    raw[position] ^= 1
    assert text in str(footer_problem(bytes(raw), MIB + FOOTER_BYTES, "abcd", "u"))


def test_footer_must_fit_the_blob() -> None:
    assert "whole number (in MBs)" in str(footer_problem(build_footer(MIB), 2 * MIB, "abcd", "u"))
    with pytest.raises(ValueError, match="512 bytes"):
        parse_footer(b"short")


def test_policy_signature_has_the_form_microsofts_library_makes() -> None:
    ours = parse_qs(sas.policy_sas("acc", KEY, "box", "abcd", "policy"))
    assert ours["sr"] == ["b"]
    assert ours["si"] == ["policy"]
    assert "se" not in ours
    # The library signs a newer version only, so the signatures themselves differ; Azurite checks ours in other tests.
    theirs = parse_qs(generate_blob_sas("acc", "box", "abcd", account_key=KEY, policy_id="policy"))
    assert (theirs["si"], theirs["sr"]) == (ours["si"], ours["sr"])


def test_account_signature_depends_on_account_and_time() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    first = parse_qs(sas.account_sas("acc", KEY, now=now))
    assert first["se"] == ["2026-01-01T02:00:00Z"]
    assert first["sig"] != parse_qs(sas.account_sas("other", KEY, now=now))["sig"]


def form(**changes: str | None) -> dict[str, str]:
    fields: dict[str, str | None] = {
        "grant_type": "client_credentials",
        "client_id": "app",
        "client_secret": "good",
        "scope": "https://storage.azure.com/.default",
    }
    fields.update(changes)
    return {name: value for name, value in fields.items() if value is not None}


def test_tokens_have_the_audience_azurite_wants() -> None:
    entra = Entra(b"secret", ["bad"])
    claims = read_claims(entra.issue("tenant", form())["access_token"])
    assert claims is not None
    assert (claims["aud"], claims["iss"]) == ("https://storage.azure.com", "https://sts.windows.net/tenant/")
    assert claims["exp"] > time.time() + 3000
    arm = read_claims(entra.issue("tenant", form(scope="https://arm:443/.default"))["access_token"])
    assert arm is not None
    assert arm["aud"] == "https://arm:443"


@pytest.mark.parametrize(
    ("changes", "status", "number"),
    [
        ({"client_secret": "bad"}, 401, 7000215),
        ({"client_secret": None}, 401, 7000216),
        ({"grant_type": "password"}, 400, 70003),
        ({"scope": "https://storage.azure.com"}, 400, 1002012),
        ({"client_assertion": "x", "client_assertion_type": "y"}, 401, 50027),
    ],
)
def test_tokens_refused(changes: dict[str, str | None], status: int, number: int) -> None:
    with pytest.raises(TokenRefusedError) as caught:
        Entra(b"secret", ["bad"]).issue("tenant", form(**changes))
    assert (caught.value.status, caught.value.body["error_codes"]) == (status, [number])
    assert caught.value.body["error_description"].startswith(f"AADSTS{number}: ")


def test_assertions_must_not_be_expired() -> None:
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    def assertion(expires: float) -> str:
        payload = base64.urlsafe_b64encode(f'{{"exp": {expires}}}'.encode()).decode().rstrip("=")
        return f"h.{payload}.s"

    good = form(client_secret=None, client_assertion=assertion(time.time() + 60), client_assertion_type=kind)
    assert Entra(b"s").issue("t", good)["token_type"] == "Bearer"
    old = form(client_secret=None, client_assertion=assertion(1), client_assertion_type=kind)
    with pytest.raises(TokenRefusedError, match="AADSTS700024"):
        Entra(b"s").issue("t", old)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"status": 500, "colour": "red"},
        {"path": "(", "status": 500},
        {"drop": "sometimes"},
        {"region": "atlantis"},
        {"region": "westus", "status": 500},
        {"status": 500, "probability": 2},
    ],
)
def test_bad_faults(document: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_fault(document)


def test_faults_match_count_and_end() -> None:
    faults = Faults()
    faults.add(parse_fault({"method": "put", "path": "/versions/", "status": 429, "count": 2}))
    path = "/subscriptions/s/x/versions/1"
    assert faults.take("GET", path) is None
    assert faults.take("PUT", "/other") is None
    assert faults.take("PUT", path) is not None
    assert faults.take("PUT", path.upper()) is not None
    assert faults.take("PUT", path) is None
    assert faults.listing()[0]["hits"] == 2


def test_faults_by_chance_are_repeatable() -> None:
    def hits() -> list[bool]:
        faults = Faults(seed=7)
        faults.add(Fault(remaining=None, probability=0.5, status=500))
        return [faults.take("GET", "/") is not None for _ in range(50)]

    assert hits() == hits()
    assert 10 < sum(hits()) < 40


def test_region_faults() -> None:
    faults = Faults()
    number = faults.add(parse_fault({"region": "West Europe", "count": None, "details": "x", "sticky": True}))
    taken = faults.take_region("westeurope")
    assert isinstance(taken, RegionFault)
    assert (taken.details, taken.sticky) == ("x", True)
    assert faults.take_region("northeurope") is None
    assert faults.remove(number)
    assert faults.take_region("westeurope") is None


def test_budgets_refill_with_azure_time() -> None:
    now = [1000.0]
    clock = Clock(10, wall=lambda: now[0])
    throttle = Throttle(clock)
    budgets = (Budget("PostShareGallery3Min", 2, 180),)
    assert throttle.charge("s", budgets) == "Microsoft.Compute/PostShareGallery3Min;1"
    assert throttle.charge("S", budgets) == "Microsoft.Compute/PostShareGallery3Min;0"
    with pytest.raises(ArmError) as caught:
        throttle.charge("s", budgets)
    assert (caught.value.status, caught.value.code) == (429, "OperationNotAllowed")
    assert caught.value.headers["Retry-After"] == "18"
    assert caught.value.body()["error"]["details"][0]["target"] == "PostShareGallery3Min"
    assert throttle.charge("other", budgets) is not None
    now[0] += 18.1
    assert throttle.charge("s", budgets) is not None


def test_budget_names() -> None:
    share = budgets_for("POST", "galleries", is_list=False, action="share")
    assert [(budget.name, budget.limit) for budget in share] == [
        ("PostShareGallery3Min", 10),
        ("PostShareGallery30Min", 60),
    ]
    assert budgets_for("GET", "unknown", is_list=False, action=None) == ()
