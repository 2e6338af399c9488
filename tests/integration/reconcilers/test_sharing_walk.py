"""A walk of random edits of who may use a gallery, with faults, kills and others' hands in Azure; drawn from a seed.

In the end Azure is as the spec says and what others assigned is untouched. ``GALLERY_OPERATOR_SEED`` plays a seed
again.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Awaitable, Callable

from tests.integration.reconcilers.stage import Json, Stage
from tests.integration.reconcilers.test_sharing import IMAGE_READER, READER, TYPE, assignments, groups, put_elsewhere

from gallery_operator.planning.roles import assignment_name

STEPS = 14
PATIENCE = 120.0
"""Seconds; after five failures in a row the gateway is silent for thirty."""
PEOPLE = [str(uuid.UUID(int=number)) for number in range(500, 504)]
STRANGER = str(uuid.UUID(int=599))
SUBSCRIPTIONS = [str(uuid.UUID(int=number)) for number in range(600, 605)]
ROLES = {"Reader": READER, "Compute Gallery Image Reader": IMAGE_READER}


class Walk:
    """What is wanted, and one random step after the other."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage = stage
        self.choice = random.Random(seed)
        self.told: list[str] = []
        self.roles: set[tuple[str, str]] = set()
        self.groups: set[str] = set()

    async def step(self) -> None:
        steps: list[Callable[[], Awaitable[str]]] = [
            self.edit_roles,
            self.edit_groups,
            self.fault,
            self.kill,
            self.remove_behind_the_back,
            self.share_behind_the_back,
            self.pause,
        ]
        self.told.append(await self.choice.choice(steps)())

    async def edit_roles(self) -> str:
        every = [(who, role) for who in PEOPLE for role in ROLES]
        self.roles = set(self.choice.sample(every, self.choice.randrange(6)))
        entries = [{"principalId": who, "principalType": "User", "role": role} for who, role in sorted(self.roles)]
        self.stage.patch("Gallery", "platform", {"spec": {"roleAssignments": entries or None}})
        return f"roles {sorted(self.roles)}"

    async def edit_groups(self) -> str:
        self.groups = set(self.choice.sample(SUBSCRIPTIONS, self.choice.randrange(6)))
        change = {"groups": {"subscriptions": sorted(self.groups)}}
        self.stage.patch("Gallery", "platform", {"spec": {"sharingProfile": change}})
        return f"groups {sorted(self.groups)}"

    async def fault(self) -> str:
        where = self.choice.choice(["/share$", "roleAssignments", "/galleries/platform$", "capsOperations"])
        kinds: list[Json] = [
            {"status": 429, "code": "OperationNotAllowed", "message": "too many requests", "retry_after": 1},
            {"status": 500, "code": "InternalServerError", "message": "trouble"},
            {"status": 409, "code": "Conflict", "message": "busy"},
            {"drop": "before"},
            {"drop": "after"},
        ]
        kind = self.choice.choice(kinds)
        self.stage.azure.add_fault(path=where, count=self.choice.randrange(1, 3), **kind)
        return f"fault {where} {kind}"

    async def kill(self) -> str:
        await asyncio.sleep(self.choice.random())
        await self.stage.stop()
        await self.stage.start()
        return "killed"

    async def remove_behind_the_back(self) -> str:
        found = [
            name
            for name, row in assignments(self.stage, self.stage.gallery_id).items()
            if row["principalId"] != STRANGER
        ]
        if not found:
            return "nothing to remove"
        name = self.choice.choice(sorted(found))
        self.stage.azure.clear_faults()
        self.stage.arm("DELETE", f"{self.stage.gallery_id}/providers/{TYPE}/{name}")
        return f"removed {name}"

    async def share_behind_the_back(self) -> str:
        self.stage.azure.clear_faults()
        group = [{"type": "Subscriptions", "ids": [self.choice.choice(SUBSCRIPTIONS)]}]
        self.stage.arm("POST", f"{self.stage.gallery_id}/share", {"operationType": "Add", "groups": group})
        return f"shared {group}"

    async def pause(self) -> str:
        await asyncio.sleep(self.choice.random() * 2)
        return "pause"

    def is_as_wanted(self) -> bool:
        ours = {assignment_name(self.stage.gallery_id, ROLES[role], who) for who, role in self.roles}
        found = assignments(self.stage, self.stage.gallery_id)
        there = {name for name, row in found.items() if row["principalId"] != STRANGER}
        return there == ours and groups(self.stage).get("Subscriptions", set()) == self.groups


async def test_in_the_end_azure_is_as_written(idle_stage: Stage) -> None:
    stage = idle_stage
    chosen = os.environ.get("GALLERY_OPERATOR_SEED")
    seed = int(chosen) if chosen else random.SystemRandom().randrange(1_000_000)
    walk = Walk(stage, seed)
    try:
        await stage.start()
        stage.gallery(sharingProfile={"permissions": "Groups"})
        await stage.ready("Gallery", "platform")
        strangers = {await put_elsewhere(stage, stage.gallery_id, STRANGER)}
        for _ in range(STEPS):
            await walk.step()
        stage.azure.clear_faults()
        stage.nudge("Gallery", "platform")
        await stage.until(walk.is_as_wanted, lambda: stage.status("Gallery", "platform"), PATIENCE)
        await stage.ready("Gallery", "platform", PATIENCE)
        await stage.quiet()
        assert walk.is_as_wanted()
        found = assignments(stage, stage.gallery_id)
        assert {name for name, row in found.items() if row["principalId"] == STRANGER} == strangers
        rows = stage.status("Gallery", "platform").get("roleAssignments") or []
        assert {row["state"] for row in rows} <= {"Assigned"}
        assert len(rows) == len(walk.roles)
    except BaseException:
        print(f"GALLERY_OPERATOR_SEED={seed}", *walk.told, sep="\n")
        raise
