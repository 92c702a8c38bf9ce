"""The harness of the API's tests finds a secret that is said or logged; this shows that it does."""

import base64
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.api.codes import Role
from common.errors import InvalidInputError
from common.ids import NodeName
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import ChallengeKind, OrderState, Terms
from manager.domain.view import NodeView
from manager.store.accounts import AccountKeys
from manager.usecases.workers import Workers
from tests import pki
from tests.bind import TsigKey
from tests.integration.acme.parts import key_pem
from tests.integration.api import ApiClient, real_api
from tests.integration.web import visitor

_, ISSUER = pki.current_ca("Leaks")
PHRASE = "the-passphrase-to-look-for"
Show = Callable[[pki.Made], str]


def traditional(made: pki.Made) -> bytes:
    return made.key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


FORMS: dict[str, Show] = {
    "as it was sent": lambda made: made.key_pem,
    "in another container": lambda made: traditional(made).decode(),
    "one line of it": lambda made: made.key_pem.splitlines()[1],
    "as base64 of a file": lambda made: base64.b64encode(b"x" + traditional(made)).decode(),
    "its number": lambda made: f"{made.key.private_numbers().private_value:064x}",
    "the passphrase": lambda _: f"the passphrase '{PHRASE}' is wrong",
}


async def say(api: ApiClient, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(query: object) -> None:
        raise InvalidInputError("x", text)

    monkeypatch.setattr(api.use_cases.certificates, "list", fail)
    await api.call("GET", "certificates")


async def send(api: ApiClient, made: pki.Made) -> None:
    sealed = made.encrypted_key_pem(PHRASE)
    body = {"certificate": "x", "private_key": sealed, "private_key_passphrase": PHRASE}
    assert (await api.call("POST", "certificates", body))[0] == 400


@asynccontextmanager
async def leaking(directory: Path, what: str) -> AsyncIterator[ApiClient]:
    """Serve an API in which something must be found when it ends."""
    async with Workers() as workers:
        served = real_api(directory, workers)
        yield await served.__aenter__()
        with pytest.raises(pytest.fail.Exception, match=what):
            await served.__aexit__(None, None, None)


@pytest.mark.parametrize("form", FORMS)
async def test_a_secret_in_an_answer_fails_the_test(tmp_path: Path, form: str, monkeypatch):
    async with leaking(tmp_path, "an answer holds a p") as api:
        made = pki.current_leaf(ISSUER, ["n1.example.test"])
        await send(api, made)
        await say(api, FORMS[form](made), monkeypatch)


@pytest.mark.parametrize("logger", ["ours", "ours, captured", "a library's"])
async def test_a_secret_in_the_log_fails_the_test(tmp_path: Path, logger: str):
    async with leaking(tmp_path, "the log holds a private key"):
        made = pki.current_leaf(ISSUER, ["n1.example.test"])
        if logger == "a library's":
            logging.getLogger("aiohttp.server").error("unhandled: %s", made.key_pem)
            return
        captured = structlog.testing.capture_logs() if logger == "ours, captured" else nullcontext()
        with captured:
            structlog.get_logger().info("http.request_failed", detail=made.key_pem)


async def test_a_key_that_only_the_store_knows_is_looked_for_too(tmp_path: Path, monkeypatch):
    async with leaking(tmp_path, "an answer holds a private key") as api:
        body = {"private_key_type": "ECDSAP256", "subject": "CN=n1.example.test"}
        status, made = await api.call("POST", "requests", body)
        assert status == 201
        key = await api.context.store.csrs.private_key(made["id"])
        await say(api, key.splitlines()[1], monkeypatch)


BINDING = base64.urlsafe_b64encode(bytes(range(200, 232))).decode().rstrip("=")


def number_of(pem: str) -> bytes:
    key = load_pem_private_key(pem.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key.private_numbers().private_value.to_bytes(32)


OF_ACCOUNTS: dict[str, tuple[str, Callable[[AccountKeys], str]]] = {
    "a line of the key": ("a private key", lambda keys: keys.key_pem.splitlines()[1]),
    "the key as a JWK": (
        "a private key",
        lambda keys: base64.urlsafe_b64encode(number_of(keys.key_pem)).decode().rstrip("="),
    ),
    "a line of the next key": ("a private key", lambda keys: keys.next_key_pem.splitlines()[1]),
    "the key of its binding": ("a shared secret", lambda keys: keys.binding_key),
    "the bytes of that": (
        "a shared secret",
        lambda keys: base64.urlsafe_b64decode(keys.binding_key + "=").hex(),
    ),
}


@pytest.mark.parametrize("form", OF_ACCOUNTS)
async def test_secrets_of_accounts_at_cas_are_looked_for(tmp_path: Path, form: str, monkeypatch):
    what, show = OF_ACCOUNTS[form]
    async with leaking(tmp_path, f"an answer holds {what}") as api:
        fields = AccountFields(
            name="CA",
            directory_url="https://ca.example.com/directory",
            binding_id="kid-1",
            binding_key=BINDING,
        )
        account = await api.use_cases.accounts.add(fields, actor="ada")
        accounts = api.context.store.accounts
        await accounts.keep_next_key(account.id, key_pem(ec.generate_private_key(ec.SECP256R1())))
        await say(api, show(await accounts.keys(account.id)), monkeypatch)


async def test_keys_of_accounts_that_were_replaced_are_looked_for(tmp_path: Path, monkeypatch):
    async with leaking(tmp_path, "an answer holds a private key") as api:
        fields = AccountFields(name="CA", directory_url="https://ca.example.com/directory")
        account, accounts = await api.use_cases.accounts.add(fields, actor="ada"), api.context.store.accounts
        former = (await accounts.keys(account.id)).key_pem
        await accounts.keep_next_key(account.id, key_pem(ec.generate_private_key(ec.SECP256R1())))
        await accounts.promote_next_key(account.id, (await accounts.keys(account.id)).next_key_pem)
        await say(api, former.splitlines()[1], monkeypatch)


async def test_keys_of_orders_that_are_over_are_looked_for(tmp_path: Path, monkeypatch):
    async with leaking(tmp_path, "an answer holds a private key") as api:
        fields = AccountFields(name="CA", directory_url="https://ca.example.com/directory")
        account, orders = await api.use_cases.accounts.add(fields, actor="ada"), api.context.store.orders
        terms = Terms(account_id=account.id, challenge=ChallengeKind.HTTP, names=("meet.example.com",))
        made = await api.use_cases.renewals.order_new(terms, nodes=[], slot="server", actor="ada")
        order = await api.use_cases.renewals.order_now(made.id, actor="ada")
        key = await orders.private_key(order.id)
        await orders.keep(replace(order, state=OrderState.FAILED))
        await say(api, key.splitlines()[1], monkeypatch)


async def test_what_pages_show_is_looked_through(tmp_path: Path, monkeypatch):
    async with leaking(tmp_path, "an answer holds a shared secret") as api:
        key = TsigKey()

        async def fail() -> object:
            raise InvalidInputError(
                "x", f"ns1.example.com refused the update, which was signed with {key.secret}"
            )

        monkeypatch.setattr(api.use_cases.renewals, "list", fail)
        async with visitor(api, Role.ADMINISTRATOR) as browser:
            assert (await browser.get("/renewals")).status == 400


async def test_a_binding_that_somebody_sends_is_looked_for_though_it_is_not_kept(tmp_path: Path, monkeypatch):
    async with leaking(tmp_path, "an answer holds a shared secret") as api:
        await api.call("POST", "certificates", {"certificate": "x", "binding_key": BINDING})
        await say(api, f"the key {BINDING} is wrong", monkeypatch)


async def test_keys_for_dns_servers_are_looked_for(tmp_path: Path, monkeypatch):
    async with leaking(tmp_path, "an answer holds a shared secret") as api:
        await say(api, TsigKey().text, monkeypatch)


async def test_keys_are_looked_for_in_streams_and_in_what_tests_read_themselves(tmp_path: Path, monkeypatch):
    made = pki.make_leaf(ISSUER)

    class Subscription:
        mark, gone = "", ()

        def __init__(self, view: NodeView) -> None:
            self.views = [replace(view, turned_away=made.key_pem)]

        async def take(self, timeout_s: float) -> list[NodeView]:
            return self.views

    async with leaking(tmp_path, "an answer holds a private key") as api:
        await send(api, made)
        await api.add_node("n1")
        changes = Subscription(api.fleet.node(NodeName("n1")))
        monkeypatch.setattr("manager.fleet.fleet.Fleet.subscribe", lambda *_: nullcontext(changes))
        async with api.raw("GET", "events") as stream:
            while b"PRIVATE" not in await stream.content.readline():
                pass


async def test_what_is_no_secret_is_no_leak(tmp_path: Path, monkeypatch):
    async with Workers() as workers, real_api(tmp_path, workers) as api:
        made = pki.current_leaf(ISSUER, ["n1.example.test"])
        await send(api, made)
        await say(api, made.certificate_pem + made.encrypted_key_pem("another-passphrase"), monkeypatch)
