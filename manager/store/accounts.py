"""Accounts at CAs, with their sealed keys and the sealed keys of their bindings.

Invariant: keys leave only through `keys` and `with_keys`, for asking the CA. An account's next key is stored
before the CA hears of it, so that an account is never without its key.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import ConflictError, NotFoundError
from common.words import counted
from manager.domain.renewal.account_fields import AccountFields
from manager.domain.renewal.records import AccountId, AccountRecord
from manager.store.engine import Database
from manager.store.sealing import Keyring
from manager.store.tables.renewal import acme_account, renewal

_SEALED: Final = ("sealed_key", "sealed_next_key", "sealed_binding")
_PLAIN = [column for column in acme_account.columns if column.name not in _SEALED]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountKeys:
    """Secrets of an account: its key, its next key ("" for none) and its binding's key ("" for none)."""

    key_pem: str = field(repr=False)
    next_key_pem: str = field(repr=False)
    binding_key: str = field(repr=False)


class Accounts:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(self, new: AccountFields, *, key_pem: str, now_s: float) -> AccountRecord:
        """Store an account with its key (PKCS#8). Raises ConflictError if the name is taken."""
        async with self._database.write() as connection:
            await _require_free(connection, new.name, None)
            values = {
                **_values(new),
                "url": "",
                "created_s": now_s,
                **dict.fromkeys(_SEALED, b""),
            }
            result = await connection.execute(insert(acme_account).values(values))
            (added,) = result.inserted_primary_key or (0,)
            number = AccountId(added)
            await self._seal(connection, number, sealed_key=key_pem, sealed_binding=new.binding_key)
            return await _get(connection, number)

    async def get(self, account_id: AccountId) -> AccountRecord:
        """Return an account. Raises NotFoundError."""
        async with self._database.read() as connection:
            return await _get(connection, account_id)

    async def list(self) -> Sequence[AccountRecord]:
        """Return all accounts by id."""
        async with self._database.read() as connection:
            rows = await connection.execute(select(*_PLAIN).order_by(acme_account.c.id))
            return [_record(row) for row in rows]

    async def keys(self, account_id: AccountId) -> AccountKeys:
        """Return an account's secrets, unsealed, for asking its CA. Raises NotFoundError."""
        return (await self.with_keys(account_id))[1]

    async def with_keys(self, account_id: AccountId) -> tuple[AccountRecord, AccountKeys]:
        """Return an account and its secrets, read at the same moment. Raises NotFoundError."""
        async with self._database.read() as connection:
            row = (
                await connection.execute(select(acme_account).where(acme_account.c.id == account_id))
            ).first()
        if row is None:
            raise _missing(account_id)
        key, next_key, binding = (
            self._keyring.open(_identity(name, account_id), bytes(sealed)).decode() if sealed else ""
            for name, sealed in ((name, getattr(row, name)) for name in _SEALED)
        )
        return _record(row), AccountKeys(key_pem=key, next_key_pem=next_key, binding_key=binding)

    async def keep(self, record: AccountRecord) -> None:
        """Replace an account's record, but not its keys.

        Raises NotFoundError, ConflictError if the name is taken.
        """
        values = {**_values(record), "url": record.url, "deactivated_s": record.deactivated_s}
        async with self._database.write() as connection:
            await _require_free(connection, record.name, record.id)
            await _change(connection, record.id, values)

    async def keep_binding_key(self, account_id: AccountId, binding_key: str) -> None:
        """Replace the key of an account's binding ("" for none). Raises NotFoundError."""
        async with self._database.write() as connection:
            await self._seal(connection, account_id, sealed_binding=binding_key)

    async def keep_next_key(self, account_id: AccountId, key_pem: str) -> None:
        """Store the key that is to replace the account's, unless one is stored.

        The CA may know that one already.

        Raises NotFoundError.
        """
        async with self._database.write() as connection:
            if not (await self.keys(account_id)).next_key_pem:
                await self._seal(connection, account_id, sealed_next_key=key_pem)

    async def promote_next_key(self, account_id: AccountId, key_pem: str) -> bool:
        """Make the next key the account's key, since its CA knows the account by it.

        Returns False if that was already done. Raises NotFoundError.
        """
        async with self._database.write() as connection:
            if (await self.keys(account_id)).next_key_pem != key_pem:
                return False
            await self._seal(connection, account_id, sealed_key=key_pem, sealed_next_key="")
            return True

    async def drop_next_key(self, account_id: AccountId, key_pem: str) -> bool:
        """Forget the next key, which the CA refused; return whether it was this one. Raises NotFoundError."""
        async with self._database.write() as connection:
            if (await self.keys(account_id)).next_key_pem != key_pem:
                return False
            await self._seal(connection, account_id, sealed_next_key="")
            return True

    async def delete(self, account_id: AccountId) -> None:
        """Remove an account with its keys. Raises NotFoundError, ConflictError while a renewal uses it."""
        async with self._database.write() as connection:
            await _get(connection, account_id)
            used = select(func.count()).select_from(renewal).where(renewal.c.account_id == account_id)
            if count := (await connection.execute(used)).scalar_one():
                raise ConflictError(
                    f"this account is used by {counted(count, 'renewal')}; let them use another one first"
                )
            await connection.execute(delete(acme_account).where(acme_account.c.id == account_id))

    async def _seal(self, connection: AsyncConnection, account_id: AccountId, **secrets: str) -> None:
        sealed = {
            name: self._keyring.seal(_identity(name, account_id), secret.encode()) if secret else b""
            for name, secret in secrets.items()
        }
        await _change(connection, account_id, sealed)


async def _require_free(connection: AsyncConnection, name: str, own: AccountId | None) -> None:
    known = select(acme_account.c.id).where(acme_account.c.name == name)
    found = (await connection.execute(known)).scalar_one_or_none()
    if found not in {None, own}:
        raise ConflictError(f"there is an account '{name}' already")


async def _change(connection: AsyncConnection, account_id: AccountId, values: dict[str, Any]) -> None:
    result = await connection.execute(
        update(acme_account).where(acme_account.c.id == account_id).values(values)
    )
    if not result.rowcount:
        raise _missing(account_id)


async def _get(connection: AsyncConnection, account_id: AccountId) -> AccountRecord:
    row = (await connection.execute(select(*_PLAIN).where(acme_account.c.id == account_id))).first()
    if row is None:
        raise _missing(account_id)
    return _record(row)


def _values(account: AccountFields | AccountRecord) -> dict[str, Any]:
    """Return the columns of the fields that an administrator sets."""
    return {
        "name": account.name,
        "directory_url": account.directory_url,
        "staging_url": account.staging_url,
        "trust_pem": account.trusted_cas,
        "contact": json.dumps(list(account.contact)),
        "binding_id": account.binding_id,
        "terms_agreed": account.terms_agreed,
    }


def _record(row: Row[Any]) -> AccountRecord:
    known = row._mapping  # noqa: SLF001 - SQLAlchemy's documented name
    fields = {column.name: known[column.name] for column in _PLAIN}
    trust_pem, contact = fields.pop("trust_pem"), fields.pop("contact")
    return AccountRecord(**fields, trusted_cas=trust_pem, contact=tuple(json.loads(contact)))


def _identity(column: str, account_id: AccountId) -> str:
    """Return the identity that a secret is sealed for, so that it opens in no other column or row."""
    return f"acme_account:{account_id}:{column}"


def _missing(account_id: AccountId) -> NotFoundError:
    return NotFoundError(f"there is no account {account_id} at a CA")
