"""Failed attempts are in the log with who was named and from where."""

import json

import pytest

from common.api.codes import Role
from common.errors import AccessError, EnrolmentError
from common.runtime.ssh import generate_key, load_key, public_line
from common.wire.enrolment import EnrolRequest
from manager.channel.enrolment import Enrolment
from manager.usecases.node_keys import NodeKeyUseCases
from manager.usecases.usecases import UseCases


async def test_failed_sign_ins_are_in_the_log_with_who_was_named_and_from_where(use_cases: UseCases):
    context = use_cases._context
    await use_cases.users.add("anna", role=Role.OPERATOR, password="copper horse battery", actor="test")
    for _ in range(3):
        with pytest.raises(AccessError):
            await use_cases.users.passwords.prove("anna", "wrong", address="192.0.2.7")
    with pytest.raises(AccessError):
        await use_cases.users.by_token("cct_wrong", address="192.0.2.8")
    with pytest.raises(AccessError):
        await use_cases.clients.by_token("wrong", address="192.0.2.8")
    await use_cases.audit.record_attempts()
    await use_cases.audit.record_attempts()
    (entry,) = await context.store.audit.list(action="sign_in.failed")
    shown = {(each["name"], each["source"]): each["attempts"] for each in json.loads(entry.detail)["by"]}
    assert shown == {("anna", "192.0.2.7"): 3, ("", "192.0.2.8"): 2}
    assert entry.actor == "unknown"
    await context.store.close()


async def test_refused_joins_and_rotations_are_in_the_log_with_who_was_named_and_from_where(
    use_cases: UseCases,
):
    context = use_cases._context
    enrolment = Enrolment(NodeKeyUseCases(context), host_keys=["ssh-ed25519 A"], epoch=1)
    for proof in (b"", b"no proof"):
        request = EnrolRequest(node="conf1", secret="guessed", agent_version="1", proof=proof)
        with pytest.raises(EnrolmentError):
            await enrolment.enrol(request, "192.0.2.9", public_line(load_key(generate_key())))
    await use_cases.audit.record_attempts()
    found = {each.action: each for each in await context.store.audit.list(subject="node conf1")}
    assert set(found) == {"join.refused", "key_rotation.refused"}
    (shown,) = json.loads(found["join.refused"].detail)["by"]
    assert (shown["name"], shown["source"], shown["attempts"]) == ("conf1", "192.0.2.9", 1)
    await context.store.close()
