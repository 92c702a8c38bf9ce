"""Somebody has a copy of a node's key, or a token that was meant for it."""

import asyncio
import json
import statistics
import time
from pathlib import Path

import asyncssh
import pytest
from msgspec.structs import replace

from common.errors import EnrolmentError, Reason
from common.ids import NodeName
from common.runtime.ssh import fingerprint, generate_key, load_key, public_line
from common.wire.enrolment import EnrolRequest
from manager.domain.alarms import AlarmKind, conditions_of_nodes
from manager.usecases.node_keys import NodeKeyUseCases
from tests.attacks.manager_parts import Manager, manager, rotation
from tests.patience import PATIENCE_S

N1 = NodeName("n1")
RACES = 12


def alarms(there: Manager) -> dict[AlarmKind, str]:
    return {each.subject.kind: each.details for each in conditions_of_nodes(there.fleet.view())}


async def acts(there: Manager) -> list[tuple[str, dict[str, str]]]:
    found = await there.store.audit.list(subject="node n1")
    return [(each.action, json.loads(each.detail)) for each in found][::-1]


@pytest.mark.parametrize("thief_first", [True, False], ids=["the thief asks first", "the rescuer asks first"])
async def test_a_thief_never_rotates_the_key_that_a_rescuer_has_pinned_meanwhile(
    tmp_path: Path, monkeypatch, thief_first: bool
):
    """The thief's proof was checked against the key that was pinned then; the operator's new token pins another one."""
    async with manager(tmp_path) as there:
        await there.add("n1")
        checked, go_on = asyncio.Event(), asyncio.Event()
        rotate = NodeKeyUseCases.rotate

        async def held_up(self, *args, **kwargs):
            checked.set()
            await go_on.wait()
            await rotate(self, *args, **kwargs)

        copied = await there.join("n1")
        monkeypatch.setattr(NodeKeyUseCases, "rotate", held_up)
        thief = load_key(generate_key())
        async with asyncio.TaskGroup() as group:
            answer = group.create_task(there.ask(thief, rotation("n1", copied, thief)))
            await checked.wait()
            if thief_first:
                go_on.set()
                await answer
            rescuer = await there.join("n1")
            go_on.set()
        assert answer.result().ok is thief_first
        assert await there.store.nodes.keys() == {public_line(rescuer): N1}
        assert there.directory.find(public_line(thief)) is None


async def test_of_many_races_between_thief_and_rescuer_the_rescuer_loses_none(
    tmp_path: Path, record_property, monkeypatch
):
    monkeypatch.setattr("manager.channel.enrolment.ROTATIONS_BURST", 10 * RACES)
    async with manager(tmp_path) as there:
        await there.add("n1")
        copied, lost = await there.join("n1"), 0
        for _ in range(RACES):
            thief, secret = load_key(generate_key()), await there.token("n1")
            async with asyncio.TaskGroup() as group:
                stealing = group.create_task(there.ask(thief, rotation("n1", copied, thief)))
                rescuing = group.create_task(there.join("n1", secret))
            assert stealing.result().ok in {True, False}
            copied = rescuing.result()
            in_store = await there.store.nodes.keys()
            lost += in_store != {public_line(copied): N1} or there.directory.find(public_line(copied)) is None
        record_property("races_lost_by_the_rescuer", lost)
        print(f"races lost by the rescuer: {lost} of {RACES}")
        assert lost == 0


async def test_a_rotation_that_nobody_asked_for_is_recorded_shown_and_an_alarm_with_both_addresses(
    tmp_path: Path,
):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        real = await there.converse("n1", key)
        await there.until_in_sync("n1")
        assert AlarmKind.KEY_REPLACED not in alarms(there), "a first join is what somebody waits for"
        new = await there.rotate("n1", key)
        async with asyncio.timeout(PATIENCE_S):
            await real.lost.wait()
        details = alarms(there)[AlarmKind.KEY_REPLACED]
        assert "from 127.0.0.1; its former key was last used from 127.0.0.1" in details
        assert fingerprint(public_line(new)) in details
        (_, joined), (action, rotated) = await acts(there)
        assert (joined["address"], joined["former_key"]) == ("127.0.0.1", "")
        assert action == "node.rotated"
        assert rotated == {
            "address": "127.0.0.1",
            "key": fingerprint(public_line(new)),
            "former_key": fingerprint(public_line(key)),
            "former_address": "127.0.0.1",
        }
        change = there.fleet.node(N1).key_change
        assert change is not None
        assert (await there.store.nodes.get(N1)).key_change == change
        assert (change.how, change.former) == ("rotated", rotated["former_key"])


async def test_a_join_in_place_of_another_machine_is_recorded_and_an_alarm(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        await there.join("n1")
        await there.join("n1")
        assert "with a join token" in alarms(there)[AlarmKind.KEY_REPLACED]
        assert [action for action, _ in await acts(there)] == ["node.joined", "node.rejoined"]


async def test_a_join_that_is_said_again_by_the_same_key_changes_nothing(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        secret, key = await there.token("n1"), load_key(generate_key())
        request = EnrolRequest(node="n1", agent_version="0", secret=secret)
        assert (await there.ask(key, request)).ok
        node = await there.converse("n1", key)
        await there.until_in_sync("n1")
        assert (await there.ask(key, request)).ok
        assert len(await acts(there)) == 1
        assert not node.lost.is_set()


async def test_two_machines_with_one_key_at_once_are_an_alarm_with_both_addresses(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        await there.converse("n1", key)
        await there.until_in_sync("n1")
        thief = await there.converse("n1", key, local="127.0.0.9")
        await there.until(lambda: thief.node.welcomes == 1)
        assert "127.0.0.1 and 127.0.0.9" in alarms(there)[AlarmKind.DUPLICATE_IDENTITY]


async def test_joining_tells_neither_which_nodes_there_are_nor_what_became_of_a_token(
    tmp_path: Path, record_property
):
    async with manager(tmp_path) as there:
        await there.add("n1", "n2")
        spent = await there.token("n1")
        old = await there.join("n1", spent)
        stranger = load_key(generate_key())

        def asks(**request) -> EnrolRequest:
            return EnrolRequest(agent_version="0", **request)

        guesses = {
            "unknown node": asks(node="nobody", secret="guess"),
            "known node, wrong token": asks(node="n1", secret="guess"),
            "known node that never joined": asks(node="n2", secret="guess"),
            "spent token": asks(node="n1", secret=spent),
            "another node's token": asks(node="n2", secret=spent),
            "no secret": asks(node="n1"),
        }
        proofs = {
            "unknown node": asks(node="nobody", proof=b"x" * 83),
            "known node": asks(node="n1", proof=b"x" * 83),
            "known node that never joined": asks(node="n2", proof=b"x" * 83),
            "proof for another node": asks(node="n2", proof=rotation("n1", old, stranger).proof),
        }
        for kind, reason in ((guesses, Reason.TOKEN_UNKNOWN), (proofs, Reason.FORBIDDEN)):
            answers = {name: await there.ask(stranger, request) for name, request in kind.items()}
            assert len({(each.ok, each.reason, each.message) for each in answers.values()}) == 1, answers
            assert answers["unknown node"].reason == reason


async def test_refusing_an_unknown_node_takes_the_same_work_as_refusing_a_known_one(
    tmp_path: Path, monkeypatch
):
    """The time is measured for the record; what is asserted is that the same costly step is taken."""
    async with manager(tmp_path) as there:
        await there.add("n1")
        await there.join("n1")
        stranger, checked = load_key(generate_key()), []
        from manager.channel import enrolment as module

        has_signed = module.has_signed

        def counted(line: str, statement: bytes, proof: bytes) -> bool:
            checked.append(line)
            return has_signed(line, statement, proof)

        monkeypatch.setattr(module, "has_signed", counted)
        enrol = there.listener.enrol
        took: dict[str, list[float]] = {"n1": [], "nobody": []}
        for _ in range(20):
            for name, times in took.items():
                request = EnrolRequest(node=name, agent_version="0", proof=b"x" * 83)
                started = time.perf_counter()
                with pytest.raises(EnrolmentError):
                    await enrol(request, "192.0.2.1", public_line(stranger))
                times.append(time.perf_counter() - started)
        print({name: f"{statistics.median(times) * 1000:.2f} ms" for name, times in took.items()})
        assert len(checked) == 40


async def pinning(there: Manager, key: asyncssh.SSHKey) -> str:
    """Ask as an agent of this release does before it replaces its key."""
    request = replace(rotation("n1", key, key), binds=True)
    reply = await there.ask(key, request)
    assert reply.ok
    return reply.pinning


@pytest.mark.parametrize("bound", [True, False], ids=["names a pinning", "of the form before"])
async def test_a_proof_is_worth_nothing_once_its_key_was_pinned_anew(
    tmp_path: Path, bound: bool, record_property
):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key, later = await there.join("n1"), load_key(generate_key())
        proof = rotation("n1", key, later, await pinning(there, key) if bound else "")
        assert (await there.ask(later, proof)).ok
        # the operator gives the node its former key back, and its agent is one of this release
        again = EnrolRequest(node="n1", agent_version="0", secret=await there.token("n1"))
        assert (await there.ask(key, again)).ok
        second = await pinning(there, key)
        replayed = [await there.ask(later, proof) for _ in range(3)]
        assert {(each.ok, each.reason) for each in replayed} == {(False, Reason.FORBIDDEN)}
        assert await there.store.nodes.keys() == {public_line(key): N1}
        record_property("replays_taken", sum(each.ok for each in replayed))
        # what names this pinning is taken, once
        assert (await there.ask(later, rotation("n1", key, later, second))).ok


async def test_a_former_key_opens_nothing_and_is_not_pinned_again_by_who_has_it_alone(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key, thief = load_key(generate_key()), load_key(generate_key())
        token = EnrolRequest(node="n1", agent_version="0", secret=await there.token("n1"))
        assert (await there.ask(key, token)).ok
        former = there.directory.find(public_line(key))
        new = await there.rotate("n1", key)
        # the very moment after: its used token, its own word for itself and for another key, and what it said before
        asked = [
            await there.ask(key, token),
            await there.ask(key, rotation("n1", key, key)),
            await there.ask(thief, rotation("n1", key, thief)),
            await there.ask(new, rotation("n1", key, new, "of another pinning")),
        ]
        # the last one is asked with the pinned key itself, and so changes nothing
        assert [each.ok for each in asked] == [False, False, False, True]
        assert await there.store.nodes.keys() == {public_line(new): N1}
        # by who holds the present key it can be pinned again, as any key can; that brings back nothing that it had opened
        assert (await there.ask(key, rotation("n1", new, key, await pinning(there, new)))).ok
        assert there.directory.find(public_line(key)) is not former
        assert not there.directory.is_current(former)
        assert [how for how, _ in await acts(there)][-2:] == ["node.rotated", "node.rotated"]
        assert AlarmKind.KEY_REPLACED in alarms(there)


@pytest.mark.parametrize("how", ["joined again", "rotated back"])
async def test_an_old_proof_is_worth_nothing_for_a_pinning_of_an_agent_that_has_asked_nothing_since(
    tmp_path: Path, how: str, record_property
):
    async with manager(tmp_path) as there:
        await there.add("n1")
        # of an agent of the release before, and recorded by whoever has the later key
        key, later = await there.join("n1"), load_key(generate_key())
        proof = rotation("n1", key, later)
        assert (await there.ask(later, proof)).ok
        # the agent is one of this release from here on, and has its former key back
        if how == "joined again":
            again = EnrolRequest(node="n1", agent_version="0", secret=await there.token("n1"), binds=True)
        else:
            again = rotation("n1", later, key, await pinning(there, later))
        assert (await there.ask(key, again)).ok
        replayed = [await there.ask(later, proof) for _ in range(3)]
        record_property("replays_taken", sum(each.ok for each in replayed))
        print(f"{sum(each.ok for each in replayed)} of {len(replayed)} replays were taken")
        assert {(each.ok, each.reason) for each in replayed} == {(False, Reason.FORBIDDEN)}
        assert await there.store.nodes.keys() == {public_line(key): N1}
        assert (await there.ask(later, rotation("n1", key, later, await pinning(there, key)))).ok


async def test_the_pinning_is_told_to_the_pinned_key_only_and_says_nothing_of_other_nodes(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1", "n2")
        key, other = await there.join("n1"), await there.join("n2")
        stranger, shown = load_key(generate_key()), await pinning(there, key)
        assert shown == await pinning(there, key)
        for name, asker in (("n1", stranger), ("n1", other), ("n2", key), ("nobody", stranger)):
            reply = await there.ask(asker, replace(rotation(name, asker, asker), binds=True))
            assert (reply.ok, reply.pinning) == (False, ""), name
        assert (await there.ask(key, rotation("n1", key, key))).pinning == "", "an older agent asks for none"


async def test_an_agent_of_the_release_before_still_replaces_its_key(tmp_path: Path):
    async with manager(tmp_path) as there:
        await there.add("n1")
        key = await there.join("n1")
        new = await there.rotate("n1", key)
        assert await there.store.nodes.keys() == {public_line(new): N1}
