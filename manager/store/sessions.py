"""Sessions of the pages. Tokens arrive as hashes; callers make them and decide how long they last."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, insert, select, update

from manager.domain.model import SessionRecord, UserRecord
from manager.store.engine import Database
from manager.store.tables.content import session, user
from manager.store.users import user_record

ID_LENGTH: Final = 16
"""Characters of a session's id: 64 bits are enough to tell 20 sessions apart."""


class Sessions:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, token_hash: str, user_id: int, *, source: str, now_s: float, keep: int) -> None:
        """Store a new session; its user keeps only the `keep` most recently used ones."""
        async with self._database.write() as connection:
            own = session.c.user_id == user_id
            latest = select(session.c.token_hash).where(own).order_by(session.c.seen_s.desc()).limit(keep - 1)
            kept = (await connection.execute(latest)).scalars().all()
            await connection.execute(delete(session).where(own & session.c.token_hash.not_in(kept)))
            values = {"token_hash": token_hash, "user_id": user_id, "source": source}
            await connection.execute(insert(session).values(**values, created_s=now_s, seen_s=now_s))

    async def find(self, token_hash: str) -> tuple[UserRecord, float, float] | None:
        """Return a session's user, start and last use, even if it is over; None if it does not exist."""
        began_s = session.c.created_s.label("began_s")
        query = (
            select(user, began_s, session.c.seen_s).join(session).where(session.c.token_hash == token_hash)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(query)).first()
        return (user_record(row), float(row.began_s), float(row.seen_s)) if row is not None else None

    async def seen(self, token_hash: str, *, now_s: float) -> None:
        """Record that a session is in use."""
        async with self._database.write() as connection:
            await connection.execute(
                update(session).where(session.c.token_hash == token_hash).values(seen_s=now_s)
            )

    async def begin_again(self, token_hash: str, *, now_s: float) -> None:
        """Restart a session's lifetime: its user has given the password again."""
        async with self._database.write() as connection:
            chosen = session.c.token_hash == token_hash
            await connection.execute(update(session).where(chosen).values(created_s=now_s, seen_s=now_s))

    async def list(
        self, name: str, *, seen_after_s: float, created_after_s: float
    ) -> Sequence[SessionRecord]:
        """Return a user's sessions, the most recently used one first."""
        query = (
            select(session)
            .join(user)
            .where(
                user.c.name == name,
                session.c.seen_s > seen_after_s,
                session.c.created_s > created_after_s,
            )
            .order_by(session.c.seen_s.desc())
        )
        async with self._database.read() as connection:
            return [
                SessionRecord(
                    id=session_id(row.token_hash),
                    created_s=row.created_s,
                    seen_s=row.seen_s,
                    source=row.source,
                )
                for row in await connection.execute(query)
            ]

    async def remove(self, token_hash: str) -> None:
        """End a session if it exists."""
        async with self._database.write(rights=True) as connection:
            await connection.execute(delete(session).where(session.c.token_hash == token_hash))

    async def remove_of(self, name: str, *, only: str | None = None, keep: str | None = None) -> int:
        """End a user's sessions: the one with id `only`, or all except the one with id `keep`.

        Return how many.
        """
        async with self._database.write(rights=True) as connection:
            owner = select(user.c.id).where(user.c.name == name).scalar_subquery()
            chosen = session.c.user_id == owner
            hashes = (await connection.execute(select(session.c.token_hash).where(chosen))).scalars().all()
            ending = [
                each
                for each in hashes
                if (only is None or session_id(each) == only) and session_id(each) != keep
            ]
            await connection.execute(delete(session).where(session.c.token_hash.in_(ending)))
            return len(ending)

    async def remove_every(self) -> None:
        """End all sessions of all users."""
        async with self._database.write(rights=True) as connection:
            await connection.execute(delete(session))

    async def collect(self, *, seen_before_s: float, created_before_s: float) -> None:
        """Remove sessions that are over."""
        async with self._database.write() as connection:
            over = (session.c.seen_s <= seen_before_s) | (session.c.created_s <= created_before_s)
            await connection.execute(delete(session).where(over))


def session_id(token_hash: str) -> str:
    """Return a session's id: part of its token's hash, which does not reveal the token."""
    return token_hash[:ID_LENGTH]
