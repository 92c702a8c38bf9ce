"""Documents: small resources that are stored, changed and deleted, and returned unchanged.

Does not interpret their fields. The front end checks them, with `check` in the transaction where stored data
matters.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from common.errors import NotFoundError
from manager.domain.documents import Body, Unique
from manager.usecases.context import Context

Check = Callable[[Body], None]


class DocumentUseCases:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def all(self, kind: str) -> Mapping[int, Body]:
        """Return all documents of a kind by id."""
        return await self._context.store.documents.all(kind)

    async def add(self, kind: str, body: Mapping[str, Any], *, unique: Unique, actor: str) -> int:
        """Store a new document; return its id. Raises TakenError."""
        async with self._context.store.transaction():
            number = await self._context.store.documents.add(kind, body, unique=unique)
            await self._note("document.added", kind, [number], actor)
        return number

    async def change(
        self,
        kind: str,
        document_id: int,
        changes: Mapping[str, Any],
        *,
        unique: Unique,
        check: Check,
        actor: str,
    ) -> None:
        """Change fields of a document. Raises NotFoundError, TakenError and the errors of `check`."""
        store = self._context.store.documents
        async with self._context.store.transaction():
            known = (await store.all(kind)).get(document_id)
            if known is None:
                raise NotFoundError(f"there is no {kind} {document_id}")
            changed = {**known, **changes}
            check(changed)
            await store.replace(kind, document_id, changed, unique=unique)
            await self._note("document.changed", kind, [document_id], actor)

    async def change_only(
        self, kind: str, changes: Mapping[str, Any], *, check: Check, shown_id: int, actor: str
    ) -> None:
        """Change fields of the only document of a kind that has exactly one, shown as `shown_id`.

        Raises the errors of `check`.
        """
        store = self._context.store.documents
        async with self._context.store.transaction():
            number, known = next(iter((await store.all(kind)).items()), (None, {}))
            changed = {**known, **changes}
            check(changed)
            if number is None:
                await store.add(kind, changed)
            else:
                await store.replace(kind, number, changed)
            await self._note("document.changed", kind, [shown_id], actor)

    async def delete(self, kind: str, document_ids: Sequence[int], *, actor: str) -> None:
        """Remove all of these documents or none. Raises NotFoundError."""
        async with self._context.store.transaction():
            await self._context.store.documents.delete(kind, document_ids)
            await self._note("document.deleted", kind, document_ids, actor)

    async def _note(self, act: str, kind: str, document_ids: Sequence[int], actor: str) -> None:
        for number in dict.fromkeys(document_ids):
            await self._context.audit(actor, act, f"{kind} {number}")
