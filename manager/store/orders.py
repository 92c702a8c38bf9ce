"""Orders: attempts to renew a certificate, each with the sealed key that signs its request.

Invariant: a renewal has one unfinished order at most, whoever tries to write another; a finished order has no
key.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import delete, func, insert, select, update

from common.errors import ConflictError, NotFoundError
from common.ids import CertificateId
from manager.domain.renewal.records import OrderId, OrderRecord, RenewalId
from manager.store.engine import Database
from manager.store.renewal_fields import order_of, order_values
from manager.store.sealing import Keyring
from manager.store.tables.renewal import acme_order

_PLAIN = [column for column in acme_order.columns if column.name != "sealed_key"]


class Orders:
    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    async def add(self, new: OrderRecord, *, private_key_pem: str) -> OrderRecord:
        """Store an order with the key that signs its request, and give it a number.

        Raises ConflictError if its renewal has an unfinished order.
        """
        async with self._database.write() as connection:
            other = select(acme_order.c.id).where(acme_order.c.unfinished_of == new.renewal_id)
            if (await connection.execute(other)).first() is not None:
                raise ConflictError(f"renewal {new.renewal_id} has an order that is not over")
            result = await connection.execute(
                insert(acme_order).values({**order_values(new), "sealed_key": b""})
            )
            (added,) = result.inserted_primary_key or (0,)
            number = OrderId(added)
            sealed = self._keyring.seal(_identity(number), private_key_pem.encode())
            await connection.execute(
                update(acme_order).where(acme_order.c.id == number).values(sealed_key=sealed)
            )
            return replace(new, id=number)

    async def get(self, order_id: OrderId) -> OrderRecord:
        """Return an order. Raises NotFoundError."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(*_PLAIN).where(acme_order.c.id == order_id))).first()
        if row is None:
            raise _missing(order_id)
        return order_of(row)

    async def unfinished(self) -> Sequence[OrderRecord]:
        """Return the unfinished orders by id."""
        query = select(*_PLAIN).where(acme_order.c.unfinished_of.is_not(None)).order_by(acme_order.c.id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [order_of(row) for row in rows]

    async def unfinished_of(self, renewal_id: RenewalId) -> OrderRecord | None:
        """Return a renewal's unfinished order, None if there is none."""
        query = select(*_PLAIN).where(acme_order.c.unfinished_of == renewal_id)
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return None if row is None else order_of(row)

    async def of_renewal(self, renewal_id: RenewalId, *, limit: int) -> Sequence[OrderRecord]:
        """Return a renewal's latest orders, the latest first."""
        query = select(*_PLAIN).where(acme_order.c.renewal_id == renewal_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(acme_order.c.id.desc()).limit(limit))).all()
        return [order_of(row) for row in rows]

    async def latest_real(self, renewal_id: RenewalId) -> OrderRecord | None:
        """Return a renewal's latest order that is not a test, None if there is none."""
        query = select(*_PLAIN).where(acme_order.c.renewal_id == renewal_id, acme_order.c.is_test.is_(False))
        async with self._database.read() as connection:
            row = (await connection.execute(query.order_by(acme_order.c.id.desc()).limit(1))).first()
        return None if row is None else order_of(row)

    async def brought(self, renewal_id: RenewalId) -> set[CertificateId]:
        """Return which certificates that a renewal obtained are still in the store."""
        query = select(acme_order.c.answer_id).where(
            acme_order.c.renewal_id == renewal_id, acme_order.c.answer_id.is_not(None)
        )
        async with self._database.read() as connection:
            return {CertificateId(number) for number in (await connection.execute(query)).scalars()}

    async def changed_since(
        self, since_s: float, *, renewal_id: RenewalId | None = None
    ) -> Sequence[OrderRecord]:
        """Return the orders, of one renewal or of all, that advanced since then; tests are left out."""
        query = select(*_PLAIN).where(acme_order.c.changed_s >= since_s, acme_order.c.is_test.is_(False))
        if renewal_id is not None:
            query = query.where(acme_order.c.renewal_id == renewal_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(acme_order.c.id))).all()
        return [order_of(row) for row in rows]

    async def latest(self) -> Mapping[RenewalId, OrderRecord]:
        """Return the latest order of each renewal that has any, in one query."""
        newest = select(func.max(acme_order.c.id)).group_by(acme_order.c.renewal_id)
        async with self._database.read() as connection:
            rows = (await connection.execute(select(*_PLAIN).where(acme_order.c.id.in_(newest)))).all()
        return {order.renewal_id: order for order in map(order_of, rows)}

    async def keep(self, record: OrderRecord) -> None:
        """Replace an order's record, in the transaction that read it; a finished order loses its key.

        Raises NotFoundError.
        """
        values = order_values(record)
        if record.state.is_over:
            values["sealed_key"] = b""
        async with self._database.write() as connection:
            changed = update(acme_order).where(acme_order.c.id == record.id).values(values)
            if not (await connection.execute(changed)).rowcount:
                raise _missing(record.id)

    async def private_key(self, order_id: OrderId) -> str:
        """Return the key that signs an order's request, unsealed, as unencrypted PKCS#8 PEM.

        Raises NotFoundError.
        """
        query = select(acme_order.c.sealed_key).where(acme_order.c.id == order_id)
        async with self._database.read() as connection:
            sealed = (await connection.execute(query)).scalar()
        if not sealed:
            raise _missing(order_id)
        return self._keyring.open(_identity(order_id), bytes(sealed)).decode()

    async def collect(self, *, keep_each: int, spared: Collection[OrderId]) -> None:
        """Forget finished orders beyond each renewal's latest `keep_each`, and as many tests.

        Orders in `spared`, and those whose certificate is still in the store, are kept.
        """
        is_over = acme_order.c.unfinished_of.is_(None)
        place = func.row_number().over(
            partition_by=(acme_order.c.renewal_id, acme_order.c.is_test), order_by=acme_order.c.id.desc()
        )
        ranked = select(acme_order.c.id, place.label("place")).where(is_over).subquery()
        old = select(ranked.c.id).where(ranked.c.place > keep_each)
        is_spared = acme_order.c.answer_id.is_not(None) | self._database.among(acme_order.c.id, spared)
        async with self._database.write() as connection:
            await connection.execute(delete(acme_order).where(acme_order.c.id.in_(old), ~is_spared))


def _identity(order_id: OrderId) -> str:
    return f"acme_order:{order_id}"


def _missing(order_id: OrderId) -> NotFoundError:
    return NotFoundError(f"there is no order {order_id}")
