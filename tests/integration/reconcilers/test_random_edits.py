"""Whatever people, Azure and fate do: in the end Azure is what the objects say, and nothing else was touched.

A walk of random edits, deletions, faults, changes behind the operator's back and kills, drawn from a seed that a
failure prints; ``GALLERY_OPERATOR_SEED`` walks the same way again.
"""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.integration.reconcilers.process import OperatorProcess
from tests.integration.reconcilers.stage import COMPUTE, Json, Stage, ready

REGIONS = ("westeurope", "eastus2", "northeurope", "westus2")
HOME = REGIONS[0]
SEEDLINGS = 15
STEPS = 45
GALLERIES = ("platform", "second")
DEFINITIONS = ("debian", "ubuntu", "rhel")
NUMBERS = ("1.0.0", "1.0.1", "2.0.0")
ORDER = ("Gallery", "GalleryImageDefinition", "ImageVersion")


class Walk:
    """The objects as they should be, and one random step after the other."""

    def __init__(self, stage: Stage, operator: OperatorProcess, seed: int) -> None:
        self.stage = stage
        self.operator = operator
        self.choice = random.Random(seed)
        self.specs: dict[tuple[str, str], Json] = {}
        self.retained: set[str] = set()
        self.foreign: dict[str, Json] = {}
        self.told: list[str] = []

    # -- what there is --------------------------------------------------------------------------------------------

    def azure_id(self, kind: str, name: str) -> str:
        """ARM id of what an object makes."""
        spec = self.specs[kind, name]
        if kind == "Gallery":
            return f"{COMPUTE}/galleries/{name}"
        if kind == "GalleryImageDefinition":
            return f"{COMPUTE}/galleries/{spec['galleryRef']['name']}/images/{name}"
        return f"{self.azure_id('GalleryImageDefinition', spec['definitionRef']['name'])}/versions/{spec['version']}"

    def named(self, kind: str) -> list[str]:
        return [name for each, name in self.specs if each == kind]

    # -- steps ----------------------------------------------------------------------------------------------------

    async def step(self) -> None:
        """One of the things that happen, the common ones more often."""
        steps: list[tuple[int, Callable[[], Awaitable[str]]]] = [
            (6, self.create),
            (10, self.edit),
            (3, self.delete),
            (3, self.fault),
            (3, self.behind_the_back),
            (1, self.kill),
            (8, self.pass_time),
        ]
        (act,) = self.choice.choices([each for _, each in steps], [weight for weight, _ in steps])
        self.told.append(await act())

    async def create(self) -> str:
        kind = self.choice.choice(ORDER)
        if kind == "Gallery":
            free = [each for each in GALLERIES if ("Gallery", each) not in self.specs]
            spec: Json = {"resourceGroup": "images", "location": HOME}
        elif kind == "GalleryImageDefinition":
            free = [each for each in DEFINITIONS if (kind, each) not in self.specs] if self.named("Gallery") else []
            spec = {"osState": "Generalized"}
        else:
            parents = self.named("GalleryImageDefinition")
            free = [
                name
                for parent in parents
                for number in NUMBERS
                if (kind, name := f"{parent}-{number}") not in self.specs
            ]
            spec = {"source": {"osDisk": {"diskId": f"{COMPUTE}/disks/source"}}}
        if not free:
            return f"no {kind} to create"
        name = self.choice.choice(free)
        if kind == "GalleryImageDefinition":
            spec["galleryRef"] = {"name": self.choice.choice(self.named("Gallery"))}
            spec["identifier"] = {"publisher": "platform", "offer": "walk", "sku": name}
        if kind == "ImageVersion":
            parent, number = name.rsplit("-", 1)
            spec |= {"definitionRef": {"name": parent}, "version": number, "targetRegions": self.regions()}
        if self.stage.get(kind, name) is not None:
            return f"{kind} {name} is still going"
        self.stage.create(kind, name, spec)
        self.specs[kind, name] = spec
        self.retained.discard(self.azure_id(kind, name))
        return f"create {kind} {name} {spec}"

    def regions(self) -> list[Json]:
        """Home and a random choice of others, each with its replicas; no ZRS, whose type cannot change."""
        others = self.choice.sample(REGIONS[1:], self.choice.randint(0, 2))
        return [{"name": each, "regionalReplicaCount": self.choice.randint(1, 3)} for each in (HOME, *others)]

    async def edit(self) -> str:
        if not self.specs:
            return "nothing to edit"
        kind, name = self.choice.choices(
            list(self.specs), [4 if kind == "ImageVersion" else 1 for kind, _ in self.specs]
        )[0]
        word = f"word-{self.choice.randrange(1000)}"
        changes: list[Json] = [{"tags": {"team": word}}, {"deletionPolicy": self.choice.choice(["Delete", "Retain"])}]
        if kind in ("Gallery", "GalleryImageDefinition"):
            changes.append({"description": word})
        if kind == "GalleryImageDefinition":
            changes.append({"recommended": {"vCPUs": {"min": self.choice.randint(1, 4), "max": 8}}})
        if kind == "ImageVersion":
            changes += [{"targetRegions": self.regions()}] * 2
            same = [
                each | {"regionalReplicaCount": self.choice.randint(1, 5)}
                for each in self.specs[kind, name]["targetRegions"]
            ]
            changes += [{"targetRegions": same}] * 2
            changes.append({"excludeFromLatest": self.choice.random() < 0.5})
        change = self.choice.choice(changes)
        self.stage.patch(kind, name, {"spec": change})
        self.specs[kind, name] |= change
        return f"edit {kind} {name} {change}"

    async def delete(self) -> str:
        # Parents wait for their children, so any order ends; what still refers to it must go as well, or it never does.
        if not self.specs:
            return "nothing to delete"
        # Seldom a whole gallery: the walk would start again from nothing.
        kind = self.choice.choices(ORDER, (1, 3, 16))[0]
        if not self.named(kind):
            return f"no {kind} to delete"
        name = self.choice.choice(self.named(kind))
        doomed = self.below(kind, name)
        for each in doomed:
            resource_id = self.azure_id(*each)
            if self.specs[each].get("deletionPolicy") == "Retain":
                self.retained.add(resource_id)
        for each in doomed:
            self.stage.delete(*each)
        for each in doomed:
            del self.specs[each]
        return f"delete {doomed}"

    def below(self, kind: str, name: str) -> list[tuple[str, str]]:
        """An object and what refers to it, in random order."""
        result = [(kind, name)]
        for other in [each for each in self.specs if each[0] != kind]:
            spec = self.specs[other]
            parent = ("GalleryImageDefinition", spec.get("definitionRef", {}).get("name"))
            if other[0] == "GalleryImageDefinition":
                parent = ("Gallery", spec["galleryRef"]["name"])
            if parent == (kind, name):
                result += self.below(*other)
        self.choice.shuffle(result)
        return result

    async def fault(self) -> str:
        faults: list[Json] = [
            {"method": "PUT", "path": "/galleries/", "status": 500, "code": "InternalServerError", "count": 2},
            {"method": "PUT", "path": "/galleries/", "status": 429, "code": "OperationNotAllowed", "retry_after": 1},
            {"method": "GET", "path": "/versions/", "status": 503, "code": "ServiceUnavailable", "count": 3},
            {"method": "DELETE", "path": "/galleries/", "status": 409, "code": "AnotherOperationInProgress"},
            {"method": "PUT", "path": "/versions/", "drop": "after", "count": 2},
            {"method": "PUT", "path": "/images/", "drop": "before", "count": 2},
            {"region": self.choice.choice(REGIONS[1:]), "count": 1, "details": "walk"},
        ]
        fault = self.choice.choice(faults)
        self.stage.azure.add_fault(**fault)
        return f"fault {fault}"

    async def behind_the_back(self) -> str:
        """Somebody deletes a version, or changes a description, in Azure."""
        there = [each for each in self.specs if ready(self.stage.get(*each)).get("status") == "True"]
        if not there:
            return "nothing is ready yet"
        kind, name = self.choice.choice(there)
        resource_id = self.azure_id(kind, name)
        found = self.stage.in_azure(resource_id)
        if found is None or found["properties"].get("provisioningState") != "Succeeded":
            return f"{name} is busy"
        if kind == "ImageVersion":
            return f"somebody deletes {resource_id}" if self.tamper("DELETE", resource_id) else "Azure refuses somebody"
        body = {key: found[key] for key in ("location", "tags", "properties")}
        body["properties"] = {**body["properties"], "description": "somebody was here"}
        return f"somebody changes {resource_id}" if self.tamper("PUT", resource_id, body) else "Azure refuses somebody"

    def tamper(self, method: str, resource_id: str, body: Json | None = None) -> bool:
        try:
            self.stage.arm(method, resource_id, body)
        except AssertionError:  # a fault meant for the operator
            return False
        return True

    async def kill(self) -> str:
        await self.operator.kill()
        await self.operator.start()
        return "kill"

    async def pass_time(self) -> str:
        """Let one object come to its end, or not quite."""
        if not self.specs:
            return "nothing to wait for"
        kind, name = self.choice.choice(list(self.specs))
        try:
            await self.stage.ready(kind, name, patience=self.choice.uniform(0.0, 8.0))
        except AssertionError:
            return f"{kind} {name} is not ready yet"
        return f"{kind} {name} is ready"

    # -- the end --------------------------------------------------------------------------------------------------

    def strangers(self) -> None:
        """Things that are not ours, and must be the same in the end."""
        for resource_id, properties in (
            (f"{COMPUTE}/galleries/theirs", {"description": "not yours"}),
            (f"{COMPUTE}/disks/source", None),
            (f"{COMPUTE}/snapshots/theirs", None),
        ):
            if properties is None:
                self.stage.disk(resource_id.rsplit("/", 1)[1], resource_id.rsplit("/", 2)[1])
            else:
                self.stage.arm("PUT", resource_id, {"location": HOME, "properties": properties})

    def remember_strangers(self) -> None:
        for name in ("galleries/theirs", "disks/source", "snapshots/theirs"):
            self.foreign[name] = self.stage.in_azure(f"{COMPUTE}/{name}") or {}

    async def settle(self) -> None:
        """Faults end; everything becomes ready, and everything deleted is gone."""
        self.stage.azure.clear_faults()
        alive = set(self.specs)
        for kind in reversed(ORDER):
            for body in self.stage.list(kind):
                if (kind, body["metadata"]["name"]) not in alive:
                    await self.stage.gone(kind, body["metadata"]["name"], patience=90)
        for kind in ORDER:
            for name in self.named(kind):
                self.stage.nudge(kind, name)
                await self.stage.ready(kind, name, patience=90)

    def check(self) -> None:
        """Azure equals the specs; no orphan of ours; strangers as they were."""
        expected = {self.azure_id(*each).lower() for each in self.specs}
        for resource in self.stage.azure.state()["resources"]:
            tags = resource["body"].get("tags") or {}
            if tags.get("gallery-operator.dev-namespace") == self.stage.namespace:
                kept = resource["id"].lower() in {each.lower() for each in self.retained}
                assert kept or resource["id"].lower() in expected, f"orphan: {resource['id']}"
        for (kind, name), spec in self.specs.items():
            found = self.stage.in_azure(self.azure_id(kind, name))
            assert found is not None, f"{kind} {name} is not in Azure"
            self.compare(kind, name, spec, found)
        for name, before in self.foreign.items():
            assert self.stage.in_azure(f"{COMPUTE}/{name}") == before, f"{name} was touched"

    @staticmethod
    def compare(kind: str, name: str, spec: Json, found: Json) -> None:
        properties = found["properties"]
        assert properties["provisioningState"] == "Succeeded", name
        for tag, value in (spec.get("tags") or {}).items():
            assert found["tags"].get(tag) == value, f"{kind} {name}: tag {tag}"
        if "description" in spec:
            assert properties.get("description") == spec["description"], name
        if "recommended" in spec:
            assert properties["recommended"]["vCPUs"] == spec["recommended"]["vCPUs"], name
        if kind == "ImageVersion":
            publishing = properties["publishingProfile"]
            there = {
                each["name"].replace(" ", "").lower(): each["regionalReplicaCount"]
                for each in publishing["targetRegions"]
            }
            assert there == {each["name"]: each["regionalReplicaCount"] for each in spec["targetRegions"]}, name
            assert publishing["excludeFromLatest"] == spec.get("excludeFromLatest", False), name


@pytest.mark.parametrize("number", range(2))
async def test_in_the_end_azure_is_what_the_objects_say(idle_stage: Stage, tmp_path: Path, number: int) -> None:
    chosen = os.environ.get("GALLERY_OPERATOR_SEED")
    seed = int(chosen) if chosen else random.SystemRandom().randrange(1_000_000)
    operator = OperatorProcess(idle_stage, tmp_path / "log")
    walk = Walk(idle_stage, operator, seed)
    try:
        walk.strangers()
        await idle_stage.settled(f"{COMPUTE}/galleries/theirs")
        walk.remember_strangers()
        await operator.start()
        for _ in range(SEEDLINGS):
            walk.told.append(await walk.create())
        await walk.settle()
        for _ in range(STEPS):
            await walk.step()
        await walk.settle()
        walk.check()
    except BaseException:
        print(f"GALLERY_OPERATOR_SEED={seed}", *walk.told, sep="\n")
        raise
    finally:
        await operator.kill()
