"""Client programs that sign in with their own key (OAuth 2.0 client credentials, RFC 6749 4.4 and RFC 7523).

Invariant: the manager knows only public keys. An access token is stored as its SHA-256 and grants its
client's role.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from common.codes import Role
from common.errors import AccessError, InvalidInputError, NotFoundError, Reason
from common.source import source_of
from manager.domain.assertion import check_assertion, issuer_of, read_public_key, unproven
from manager.domain.attempts import Attempt
from manager.domain.callers import Caller, Credential
from manager.domain.model import ClientRecord, UserRecord
from manager.domain.permissions import PROVISION, level_of
from manager.usecases.context import Context
from manager.usecases.last_use import SOURCE_MAX, LastUse
from manager.usecases.lifetimes import Lifetimes
from manager.usecases.users import NAME_MAX, NAME_PATTERN, admit, hash_token

log = structlog.get_logger(__name__)

ACCESS_PREFIX: Final = "cca_"
ACCESS_S: Final = 900.0
"""Lifetime of an access token; a client makes another assertion when it has expired."""

FORGET_EVERY_S: Final = 300.0
"""Interval of forgetting expired assertions; a client has at most 1,000 unexpired ones within an hour."""

TOKENS_MAX: Final = 1000
"""Limit of remembered assertions of one client, and so of the tokens that it gets within about an hour."""

CLIENTS_MAX: Final = 100
"""Limit of registered clients: few enough for an administrator to know them all."""

ACTOR_PREFIX: Final = "oauth:"
"""Prefix of a client's name as an actor.

User names contain no colon, so a client is never mistaken for a user.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientWithKey:
    """A client whose key was made here; the key is shown only once."""

    record: ClientRecord
    private_key_pem: str = field(repr=False)


class ClientUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._last_use = LastUse(context.clock)
        self._lives = Lifetimes(context.monotonic, lasting_s=ACCESS_S)
        self._forget_s, self._expired_s = float("-inf"), 0.0

    async def add(self, name: str, *, role: Role, public_key: str, actor: str) -> ClientRecord:
        """Register a client. Raises InvalidInputError, ConflictError."""
        if len(name) > NAME_MAX or not NAME_PATTERN.fullmatch(name):
            raise InvalidInputError(
                "name",
                f"a client's name has 1 to {NAME_MAX} letters, digits and @ . _ + -, beginning with a letter or digit",
            )
        return await self._add(name, role, read_public_key(public_key), None, actor)

    async def add_with_key(self, name: str, *, api_role_id: int, actor: str) -> ClientWithKey:
        """Register a client with a management API role and make its key, which is returned but not stored.

        Raises InvalidInputError (name, or a role without permissions), NotFoundError (role) or ConflictError.
        """
        _check_name(name)
        key = ec.generate_private_key(ec.SECP256R1())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
        async with self._context.store.transaction():
            # read the role's level now, since another administrator may have changed it meanwhile
            level = await self._level(api_role_id)
            record = await self._add(name, level, read_public_key(public), api_role_id, actor)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return ClientWithKey(record=record, private_key_pem=private)

    async def change(self, number: int, *, name: str, api_role_id: int, actor: str) -> ClientRecord:
        """Rename a client or give it another role; its key and access tokens stay valid.

        Raises as `add_with_key` does.
        """
        _check_name(name)
        async with self._context.store.transaction():
            level = await self._level(api_role_id)
            record = await self._context.store.clients.change(
                number, name=name, role=level, api_role_id=api_role_id
            )
            detail = {"role": level, "client_id": record.client_id}
            await self._context.audit(actor, "oauth_client.changed", f"client {name}", detail)
        return record

    async def _add(
        self, name: str, role: Role, public_key: str, api_role_id: int | None, actor: str
    ) -> ClientRecord:
        async with self._context.store.transaction():
            record = await self._context.store.clients.add(
                name,
                role,
                client_id=secrets.token_hex(16),
                public_key=public_key,
                created_by=actor,
                now_s=self._context.clock(),
                most=CLIENTS_MAX,
                api_role_id=api_role_id,
            )
            detail = {"role": role, "client_id": record.client_id}
            await self._context.audit(actor, "oauth_client.added", f"client {name}", detail)
        return record

    async def _level(self, api_role_id: int) -> Role:
        for role in await self._context.store.roles.list():
            if role.id == api_role_id:
                level = level_of(role.permissions)
                if level is None:
                    raise InvalidInputError(
                        "role", f"the role '{role.name}' has no permissions; give it one first"
                    )
                return level
        raise NotFoundError(f"there is no role {api_role_id}")

    async def list(self) -> Sequence[ClientRecord]:
        return await self._context.store.clients.list()

    async def made_by(self, name: str) -> Sequence[ClientRecord]:
        """Return the clients that a user registered; they are removed with that user."""
        return await self._context.store.clients.made_by(name)

    async def remove(self, *names: str, actor: str) -> None:
        """Remove all of these clients or none; revokes their access tokens and unused join tokens.

        Raises NotFoundError.
        """
        async with self._context.store.transaction():
            for name in names:
                await self._context.store.clients.remove(name)
                await self._context.audit(actor, "oauth_client.removed", f"client {name}")

    async def new_token(self, assertion: str, *, address: str) -> str:
        """Return an access token for a client's assertion, valid for ACCESS_S. Raises AccessError.

        Verifying a signature takes less than a millisecond and signatures cannot be guessed, so clients that
        can sign are never throttled because of others.
        """
        client_id = ""
        try:
            client_id = issuer_of(assertion)[:NAME_MAX]
            return await self._spend(assertion, client_id)
        except AccessError as error:
            if error.reason is not Reason.BUSY:
                source = source_of(address)
                self._context.attempted(Attempt.SIGN_IN_FAILED, name=client_id, source=source)
                log.warning("login.refused", address=address, message=error.message)
            raise

    async def by_token(self, token: str, *, address: str) -> Caller:
        """Return the caller of an access token. Raises AccessError."""
        caller = await self.find_token(hash_token(token), source=address)
        return admit(
            self._context,
            caller,
            address=address,
            refusal="the access token is not known or has expired; ask for another at /oauth/token/",
        )

    async def find_token(self, token_hash: str, *, source: str | None = None) -> Caller | None:
        """Return the caller of the access token with this hash, None if invalid.

        `source` is the caller's address.
        """
        clients = self._context.store.clients
        client = await clients.for_token(token_hash, now_s=self._context.clock())
        if client is None:
            return None
        if self._lives.is_over(token_hash):
            # deleted for good: setting the clock back later does not revive it
            await clients.remove_token(token_hash)
            return None
        if source is not None:

            async def write(now_s: float) -> None:
                await clients.used(client.id, source=source[:SOURCE_MAX], now_s=now_s)

            await self._last_use.note(client.id, client.last_used_s, write)
        user = UserRecord(
            id=client.id, name=f"{ACTOR_PREFIX}{client.name}", role=client.role, created_s=client.created_s
        )
        return Caller(
            user=user,
            credential=Credential.ACCESS_TOKEN,
            proof=token_hash,
            provisions=await self._may_provision(client),
        )

    async def _may_provision(self, client: ClientRecord) -> bool:
        if client.api_role_id is None:
            return False
        roles = await self._context.store.roles.list()
        return any(each.id == client.api_role_id and PROVISION in each.permissions for each in roles)

    async def _spend(self, assertion: str, client_id: str) -> str:
        client = await self._context.store.clients.find(client_id)
        if client is None:
            raise unproven()
        now_s = self._context.clock()
        proven = check_assertion(
            assertion, client.public_key, client_id=client_id, hosts=await self._own_names(), now_s=now_s
        )
        await self._forget_assertions(now_s)
        token = ACCESS_PREFIX + secrets.token_urlsafe(32)
        await self._context.store.clients.spend(
            client,
            jti_hash=hash_token(proven.jti),
            jti_until_s=proven.expires_s,
            token_hash=hash_token(token),
            expires_s=now_s + ACCESS_S,
            now_s=now_s,
            most=TOKENS_MAX,
        )
        self._lives.begin(hash_token(token))
        return token

    async def _forget_assertions(self, now_s: float) -> None:
        """Forget expired assertions at an interval.

        The previous clock reading must agree that they are expired.

        A clock that is briefly ahead therefore makes the manager forget no assertion that is still valid.
        """
        if self._context.monotonic() < self._forget_s:
            return
        before_s = min(now_s, self._expired_s)
        self._forget_s, self._expired_s = self._context.monotonic() + FORGET_EVERY_S, now_s
        await self._context.store.clients.forget_assertions(before_s=before_s)

    async def _own_names(self) -> set[str]:
        """Return the audience names that clients may use: those of all managers and of their certificates.

        All managers of a store are one audience to a client: an assertion is spent once, whichever manager
        receives it.
        """
        inventory, names = await self._context.inventories.current(), set[str]()
        for node in inventory.nodes.values():
            if node.kind == "management":
                number = inventory.slots.get((node.name, "server"))
                shown = inventory.entries[number].leaf.subject_alt_names if number is not None else ()
                names.update(name.lower() for name in (*node.names, *node.addresses, *shown))
        return names


def _check_name(name: str) -> None:
    """Check a client's name. The management API allows words and spaces, but not unreadable lines."""
    if not (1 <= len(name) <= NAME_MAX and name.isprintable() and name == name.strip()):
        raise InvalidInputError(
            "name", f"a client's name has 1 to {NAME_MAX} printable characters, without spaces around them"
        )
