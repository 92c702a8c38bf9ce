"""Who is signed in to the pages. Tokens come in as hashes; making them, and how long they last, is not the store's business."""

from sqlalchemy import delete, insert, select, update

from manager.domain.model import UserRecord
from manager.store.engine import Database
from manager.store.tables import session, user
from manager.store.users import user_record


class Sessions:
    """See the module."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token_hash: str, user_id: int, *, now_s: float, keep: int) -> None:
        """Keep a new session; of those that its user has, the `keep` that were seen last stay."""
        async with self._database.write() as connection:
            own = session.c.user_id == user_id
            latest = select(session.c.token_hash).where(own).order_by(session.c.seen_s.desc()).limit(keep - 1)
            kept = (await connection.execute(latest)).scalars().all()
            await connection.execute(delete(session).where(own & session.c.token_hash.not_in(kept)))
            values = {"token_hash": token_hash, "user_id": user_id, "created_s": now_s, "seen_s": now_s}
            await connection.execute(insert(session).values(values))

    async def find(
        self, token_hash: str, *, seen_after_s: float, created_after_s: float
    ) -> tuple[UserRecord, float] | None:
        """Return whose session this is and when it was last seen; None if nobody's or over."""
        query = (
            select(user, session.c.seen_s)
            .join(session)
            .where(
                session.c.token_hash == token_hash,
                session.c.seen_s > seen_after_s,
                session.c.created_s > created_after_s,
            )
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return (user_record(row), float(row.seen_s)) if row is not None else None

    async def seen(self, token_hash: str, *, now_s: float) -> None:
        """Note that a session is in use."""
        async with self._database.write() as connection:
            await connection.execute(
                update(session).where(session.c.token_hash == token_hash).values(seen_s=now_s)
            )

    async def remove(self, token_hash: str) -> None:
        """End a session, if there is such a one."""
        async with self._database.write() as connection:
            await connection.execute(delete(session).where(session.c.token_hash == token_hash))

    async def remove_all(self, name: str) -> None:
        """End all sessions of a user."""
        async with self._database.write() as connection:
            owner = select(user.c.id).where(user.c.name == name).scalar_subquery()
            await connection.execute(delete(session).where(session.c.user_id == owner))

    async def collect(self, *, seen_before_s: float, created_before_s: float) -> None:
        """Forget the sessions that are over."""
        async with self._database.write() as connection:
            over = (session.c.seen_s <= seen_before_s) | (session.c.created_s <= created_before_s)
            await connection.execute(delete(session).where(over))
