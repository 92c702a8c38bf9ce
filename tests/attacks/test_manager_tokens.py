"""A token with which a manager joins is worth the store's key: once, for half an hour, to one key, and to nobody who has none."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.errors import AccessError, ConflictError, InvalidInputError, Reason, UnreachableError
from common.runtime.question import ask
from common.runtime.ssh import CLUSTER_SUBSYSTEM, JOIN_SUBSYSTEM, fingerprint, public_line
from common.wire.enrolment import EnrolDecoder, JoinToken, encode_token, hash_secret, new_secret
from common.wire.frames import encode_frame
from common.wire.joining import only_frame
from manager.channel import clustering
from manager.channel.clustering import ManagerReply, decode_token
from manager.domain.callers import Maker
from manager.store.manager_tokens import LIVE_MAX
from manager.store.sealing import KEK_FILE, read_kek
from manager.usecases.audit import AuditUseCases
from manager.usecases.managers import TOKEN_S
from manager.usecases.nodes import NodeUseCases
from tests.cluster_parts import (
    ADVICE,
    DATABASE,
    PASSWORD,
    FirstManager,
    ask_as,
    counted_writes,
    first_manager,
    new_key,
    request,
)
from tests.daemon_logging import daemon_logging
from tests.patience import PATIENCE_S
from tests.store_template import EMPTY

STRANGERS = 100


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[FirstManager]:
    store = await EMPTY.copy(tmp_path)
    async with first_manager(store, tmp_path) as manager:
        yield manager
    await store.close()


def is_refusal(reply: ManagerReply) -> bool:
    """Whether a reply refuses, in the words that everybody gets, and has nothing else in it."""
    assert not reply.ok
    nothing = ManagerReply(ok=False, reason=Reason.TOKEN_UNKNOWN, message=reply.message)
    return reply == nothing and "The log of the manager" in reply.message


async def test_a_token_gives_the_key_and_the_address_and_makes_a_node_of_its_own(there, tmp_path):
    token, key = await there.token(), new_key()
    reply = await ask_as(token, key)
    assert (reply.ok, reply.node, reply.database) == (True, "management-2", DATABASE)
    assert reply.kek == read_kek(tmp_path)
    assert fingerprint(reply.host_keys[0]) == token.fingerprint
    assert await there.management_nodes() == ["management", "management-2"]
    assert sorted(await there.acts()) == ["manager.joined", "manager.token_made", "node.added"]
    assert (await ask_as(await there.token(), new_key())).node == "management-3"


async def test_the_address_of_the_database_is_told_only_where_the_token_says_so(there):
    token = await there.token(tells_database=False)
    assert (await ask_as(token, new_key())).database == ""


async def test_a_token_that_was_used_is_worth_nothing_to_another_key(there):
    token, key = await there.token(), new_key()
    assert (await ask_as(token, key)).ok
    assert is_refusal(await ask_as(token, new_key()))
    # its own answer was lost: it may ask again, and is the same node
    assert (await ask_as(token, key)).node == "management-2"
    assert await there.management_nodes() == ["management", "management-2"]
    there.now_s += TOKEN_S
    assert is_refusal(await ask_as(token, key))


async def test_a_token_that_has_expired_is_worth_nothing(there):
    token = await there.token()
    there.now_s += TOKEN_S
    assert is_refusal(await ask_as(token, new_key()))
    assert await there.management_nodes() == ["management"]


async def test_of_two_who_use_one_token_at_once_one_gets_the_key(there):
    token = await there.token()
    replies = await asyncio.gather(*(ask_as(token, key) for key in [new_key() for _ in range(8)]))
    got = [reply for reply in replies if reply.ok]
    print(f"one token, 8 at once: {len(got)} got the key")
    assert len(got) == 1
    assert all(reply.kek == b"" and reply.database == "" for reply in replies if not reply.ok)
    assert await there.management_nodes() == ["management", "management-2"]


async def test_strangers_without_a_token_get_nothing_keep_no_writer_waiting_and_are_counted(there):
    token = await there.token()
    before = len(await there.acts())
    with counted_writes(there.store) as written:
        replies = [
            await ask_as(token, new_key(), question=only_frame(request(new_secret())))
            for _ in range(STRANGERS)
        ]
    print(f"{STRANGERS} strangers: {len(written)} transactions")
    assert all(is_refusal(reply) for reply in replies)
    assert written == []
    await AuditUseCases(there.context).record_attempts()
    assert len(await there.acts()) == before + 1
    (entry,) = [
        each for each in await there.store.audit.list(limit=10) if each.action == "manager_join.refused"
    ]
    assert json.loads(entry.detail)["attempts"] == STRANGERS
    assert (await ask_as(token, new_key())).ok


async def test_the_secret_is_never_sent_to_a_host_key_that_the_token_does_not_name(there):
    token = await there.token()
    other = type(token)(
        addresses=token.addresses,
        fingerprint=fingerprint(public_line(new_key())),
        secret=token.secret,
        expires_s=token.expires_s,
        tells_database=True,
    )
    with pytest.raises(AccessError, match="is not the token's"):
        await ask_as(other, new_key())
    assert there.asked == 0


async def test_a_nodes_token_is_no_managers_and_a_managers_no_nodes(there):
    token = await there.token()
    answer = await ask(
        token.addresses,
        subsystem=JOIN_SUBSYSTEM,
        key=new_key(),
        trusts=lambda _: True,
        advice=ADVICE,
        question=only_frame(request(token.secret)),
        decode=EnrolDecoder().reply,
    )
    assert not answer.ok
    await there.store.nodes.add("n1", "node", names=[], addresses=[], now_s=0)
    secret = new_secret()
    await there.store.nodes.add_join_token(
        "n1",
        secret_hash=hash_secret(secret),
        created_by="ann",
        maker=Maker(),
        expires_s=there.now_s + 60,
        now_s=there.now_s,
    )
    of_node = only_frame(request(secret))
    assert is_refusal(await ask_as(token, new_key(), question=of_node))
    text = encode_token(
        JoinToken(
            node="n1", addresses=token.addresses, fingerprint=token.fingerprint, secret=secret, expires_s=0
        )
    )
    with pytest.raises(InvalidInputError) as caught:
        decode_token(text)
    assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "question",
    [
        b"\xff" * 5000,
        encode_frame(b"\x81"),
        encode_frame(b"\xc1"),
        encode_frame(b"\x80"),
        encode_frame(b"\x80") * 2,
        encode_frame(b"\x80", b"blob"),
    ],
)
async def test_what_is_no_question_is_answered_with_a_refusal_and_the_end(there, question):
    token = await there.token()
    reply = await ask_as(token, new_key(), question=question)
    assert (reply.ok, reply.kek, reply.database, reply.node) == (False, b"", "", "")
    assert there.asked == 0


async def test_a_second_question_on_one_connection_is_cut_off(there):
    token = await there.token()
    twice = only_frame(request(new_secret()))
    decoder = clustering.ReplyDecoder()
    # the second comes while the first is being answered
    with pytest.raises(UnreachableError):
        await ask(
            token.addresses,
            subsystem=CLUSTER_SUBSYSTEM,
            key=new_key(),
            trusts=lambda _: True,
            advice=ADVICE,
            question=twice,
            decode=lambda data: decoder.take(data) and None,
        )
    assert there.asked == 1


async def test_a_manager_of_another_release_is_told_so_and_its_token_stays_good(there):
    token, key = await there.token(), new_key()
    reply = await ask_as(token, key, version="0.0.1")
    assert (reply.ok, reply.reason, reply.kek) == (False, Reason.UNSUPPORTED, b"")
    assert "0.0.1" in reply.message
    assert is_refusal(
        await ask_as(
            token,
            key,
            version="0.0.1",
            question=only_frame(request(new_secret(), version="0.0.1")),
        )
    )
    assert (await ask_as(token, key)).ok


@pytest.mark.parametrize(
    ("given", "word"),
    [({"names": []}, "name"), ({"names": ["*.x"]}, "DNS name"), ({"addresses": ["x"]}, "IP address")],
)
async def test_names_that_are_none_are_told_and_the_token_stays_good(there, given, word):
    token, key = await there.token(), new_key()
    reply = await ask_as(token, key, **given)
    assert (reply.ok, reply.reason, reply.kek) == (False, Reason.INVALID, b"")
    assert word in reply.message
    assert await there.management_nodes() == ["management"]
    assert (await ask_as(token, key)).ok


async def test_a_key_that_is_handed_over_as_a_credential_is_not_sent(there, tmp_path):
    token, key = await there.token(), new_key()
    (tmp_path / KEK_FILE).unlink()
    reply = await ask_as(token, key)
    assert (reply.ok, reply.reason) == (False, Reason.CONFLICT)
    assert "as a credential" in reply.message
    # the new manager has it, too: then it needs not be sent
    reply = await ask_as(token, key, holds=list(there.shared.kek_ids))
    assert (reply.ok, reply.node, reply.kek) == (True, "management-2", b"")


async def test_a_node_that_was_removed_is_not_given_back_by_its_token_nor_its_name_to_another(there):
    token, key = await there.token(), new_key()
    assert (await ask_as(token, key)).ok
    await NodeUseCases(there.context, None).remove("management-2", actor="ann")
    assert is_refusal(await ask_as(token, key))
    assert (await ask_as(await there.token(), new_key())).node == "management-3"


async def test_few_tokens_wait_to_be_used_at_once(there):
    for _ in range(LIVE_MAX):
        await there.token()
    with pytest.raises(ConflictError, match="unused tokens"):
        await there.token()
    there.now_s += TOKEN_S
    await there.token()


async def test_neither_the_key_nor_the_password_nor_a_secret_is_in_a_log_a_repr_or_the_store(there, tmp_path):
    stream = io.StringIO()
    with daemon_logging(style="json", level="debug"):
        logging.getLogger().addHandler(logging.StreamHandler(stream))
        token, key = await there.token(), new_key()
        await ask_as(token, new_key(), question=only_frame(request(new_secret())))
        reply = await ask_as(token, key)
        await ask_as(token, new_key())
        await ask_as(token, key, version="0")
    kek = read_kek(tmp_path)
    said = stream.getvalue() + "".join(
        map(repr, (token, reply, there.shared, request(token.secret), *there.replied))
    )
    assert "manager.joined" in said
    for secret in (token.secret, PASSWORD, kek.hex(), repr(kek)[2:-1], DATABASE):
        assert secret not in said
    details = "".join(str(each) for each in await there.store.audit.list(limit=100))
    kept = b"".join((await there.store.meta.with_prefix("manager-token:")).values()).decode()
    for secret in (token.secret, PASSWORD, kek.hex()):
        assert secret not in details + kept


async def test_who_asks_with_a_token_that_is_good_and_dies_before_the_answer_has_used_it_or_not(there):
    """Whether the answer came, nobody else can use the token once it was taken."""
    token, key = await there.token(), new_key()
    asking = asyncio.ensure_future(ask_as(token, key))  # noqa: TID251 - cancelled below
    async with asyncio.timeout(PATIENCE_S):
        await there.was_asked.wait()
    asking.cancel()
    await asyncio.wait([asking])
    again = await ask_as(token, key)
    assert again.ok
    assert again.node in await there.management_nodes()
    assert is_refusal(await ask_as(token, new_key()))


async def test_who_asks_twice_at_once_with_one_key_is_one_manager(there):
    token, key = await there.token(), new_key()
    replies = await asyncio.gather(*(ask_as(token, key) for _ in range(4)))
    assert [(reply.ok, reply.node) for reply in replies] == [(True, "management-2")] * 4
    assert await there.management_nodes() == ["management", "management-2"]
