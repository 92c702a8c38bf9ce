"""The audit log is chained by HMACs under a key of its own; the entries there are are sealed with it, their old hashes kept.

A new store has no entries, so it gets a key and an empty head. Where there are entries, one more says that they were sealed now, how
many, and whether their old chain of hashes still held: what was altered before this moment cannot be told from what was not.
"""

import json
import time

import sqlalchemy as sa
from alembic import context, op

from manager.store.audit import CHAIN_KEY, CHAIN_KEY_IDENTITY, HEAD, SEALED
from manager.store.chain import EMPTY, GENESIS, Head, Seals, StoredHead, hash_unkeyed, new_chain_key

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

PAGE = 1000

_NEXT = sa.text(
    "SELECT id, at_s, actor, action, subject, detail, chain FROM audit WHERE id > :last ORDER BY id LIMIT :page"
)
_SEAL = sa.text("UPDATE audit SET chain = :chain, unkeyed = :unkeyed WHERE id = :id")
_ADD = sa.text(
    "INSERT INTO audit (at_s, actor, action, subject, detail, chain, unkeyed)"
    " VALUES (:at_s, :actor, :action, :subject, :detail, '', '')"
)


def upgrade() -> None:
    """Add the column, make the key, seal what there is, and keep the head."""
    op.add_column("audit", sa.Column("unkeyed", sa.String(length=64), nullable=False, server_default=""))
    connection = op.get_bind()
    chain_key = new_chain_key()
    sealed = context.config.attributes["keyring"].seal(CHAIN_KEY_IDENTITY, chain_key)
    seals = Seals(chain_key)
    old_head = connection.execute(
        sa.text("SELECT value FROM meta WHERE name = :name"), {"name": HEAD}
    ).scalar()
    head = _sealed(seals, None if old_head is None else bytes(old_head).decode(errors="replace"))
    connection.execute(
        sa.text("DELETE FROM meta WHERE name IN (:head, :key)"), {"head": HEAD, "key": CHAIN_KEY}
    )
    for name, value in ((CHAIN_KEY, sealed), (HEAD, seals.seal_head(StoredHead(head=head)))):
        connection.execute(
            sa.text("INSERT INTO meta (name, value) VALUES (:name, :value)"), {"name": name, "value": value}
        )


def _sealed(seals: Seals, old_head: str | None) -> Head:
    """Seal all entries, and add the one that says so."""
    connection = op.get_bind()
    head, last, broken_at = EMPTY, GENESIS, None
    while rows := connection.execute(_NEXT, {"last": head.last_id, "page": PAGE}).all():
        changed = []
        for row in rows:
            values = {name: getattr(row, name) for name in SEALED}
            if row.chain != hash_unkeyed(last, row.id, values) and broken_at is None:
                broken_at = row.id
            last = row.chain
            chain = seals.entry(head.chain, row.id, {**values, "unkeyed": last})
            changed.append({"id": row.id, "chain": chain, "unkeyed": last})
            head = Head(count=head.count + 1, last_id=row.id, chain=chain)
        connection.execute(_SEAL, changed)
    if old_head is not None and old_head != last and broken_at is None:
        broken_at = head.last_id + 1
    if head == EMPTY and broken_at is None:
        return head
    detail = {"count": head.count, "head": last, "broken_at": broken_at}
    values = {
        "at_s": time.time(),
        "actor": "upgrade",
        "action": "audit.sealed",
        "subject": "audit log",
        "detail": json.dumps(detail, sort_keys=True),
    }
    connection.execute(_ADD, values)
    added = int(connection.execute(sa.text("SELECT MAX(id) FROM audit")).scalar() or 0)
    chain = seals.entry(head.chain, added, {**values, "unkeyed": ""})
    connection.execute(_SEAL, [{"id": added, "chain": chain, "unkeyed": ""}])
    return Head(count=head.count + 1, last_id=added, chain=chain)
