import pytest
from hypothesis import given
from hypothesis import strategies as st

from gallery_operator.azure import resource_ids
from gallery_operator.azure.resource_ids import CollectionId, InvalidResourceIdError, ResourceId

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.()-]{0,30}", fullmatch=True)
SUBSCRIPTIONS = st.uuids().map(str)


@st.composite
def ids(draw: st.DrawFn) -> ResourceId:
    subscription, group = draw(SUBSCRIPTIONS), draw(NAMES)
    builder = draw(
        st.sampled_from(
            [
                resource_ids.gallery,
                resource_ids.disk,
                resource_ids.snapshot,
                resource_ids.managed_image,
                resource_ids.storage_account,
            ]
        )
    )
    rid = builder(subscription, group, draw(NAMES))
    if rid.type == "Microsoft.Compute/galleries":
        for type_ in ["images", "versions"][: draw(st.integers(0, 2))]:
            rid = rid.child(type_, draw(NAMES))
    return draw(st.sampled_from([rid, ResourceId(subscription, group)]))


@given(ids())
def test_text_and_back(rid: ResourceId) -> None:
    again = ResourceId.parse(str(rid))
    assert again == rid and str(again) == str(rid) and hash(again) == hash(rid)


@given(ids())
def test_case_does_not_matter(rid: ResourceId) -> None:
    for other in (str(rid).upper(), str(rid).lower(), str(rid) + "/"):
        parsed = ResourceId.parse(other)
        assert parsed == rid and hash(parsed) == hash(rid) and parsed.key == rid.key


@given(ids(), ids())
def test_equal_only_when_the_same(one: ResourceId, other: ResourceId) -> None:
    assert (one == other) is (str(one).lower() == str(other).lower())
    assert one != str(one)


@given(ids())
def test_parents_lead_to_the_resource_group(rid: ResourceId) -> None:
    steps = 0
    current: ResourceId | None = rid
    while current is not None:
        assert str(rid).startswith(str(current))
        last, current = current, current.parent
        steps += 1
    assert last == ResourceId(rid.subscription_id, rid.resource_group)
    assert steps == len(rid.path) + 1


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    try:
        rid = ResourceId.parse(text)
    except InvalidResourceIdError as exc:
        assert str(exc)
    else:
        assert ResourceId.parse(str(rid)) == rid


def test_parts() -> None:
    rid = resource_ids.version("S", "R", "G", "D", "1.2.3")
    assert (
        str(rid) == "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/G/images/D/versions/1.2.3"
    )
    assert rid.type == "Microsoft.Compute/galleries/images/versions"
    assert rid.name == "1.2.3"
    assert rid.names == ("G", "D", "1.2.3")
    assert rid.parent == resource_ids.definition("S", "R", "G", "D")
    assert resource_ids.resource_group("S", "R").type == "Microsoft.Resources/resourceGroups"
    assert resource_ids.resource_group("S", "R").names == ("R",)
    assert resource_ids.resource_group("S", "R").parent is None


@pytest.mark.parametrize(
    "text",
    [
        "", "/", "gallery", "/subscriptions/S", "/subscriptions/S/resourceGroups/", "/subscriptions//resourceGroups/R",
        "subscriptions/S/resourceGroups/R", "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/G/images",
        "/subscriptions/S/resourceGroups/R/providers/Compute/galleries/G",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/..",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/a?b",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/a%2fb",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/galleries/a b",
        "https://management.azure.com/subscriptions/S/resourceGroups/R",
        "/subscriptions/S/resourceGroups/R/providers/Microsoft.X/vaults/v/providers/Microsoft.Authorization/locks/l",
        "/subscriptions/S/resourceGroups/R/locations/L/providers/Microsoft.Compute/galleries/G",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(InvalidResourceIdError):
        ResourceId.parse(text)


def test_collections() -> None:
    gallery = resource_ids.gallery("S", "R", "G")
    definitions = CollectionId.parse(f"{gallery}/images")
    assert definitions == CollectionId(gallery, "Microsoft.Compute/galleries/images")
    disks = CollectionId.parse("/subscriptions/S/resourceGroups/R/providers/Microsoft.Compute/disks")
    assert disks == CollectionId(ResourceId("S", "R"), "Microsoft.Compute/disks")
    for wrong in (
        str(gallery),
        "/subscriptions/S/resourceGroups/R",
        f"{gallery}/providers/Microsoft.X/locks",
        "images",
    ):
        with pytest.raises(InvalidResourceIdError):
            CollectionId.parse(wrong)


def test_child_of_a_resource_group_needs_a_provider() -> None:
    with pytest.raises(InvalidResourceIdError):
        ResourceId("S", "R").child("galleries", "g")
