"""Roles that clients of the management API make and give to programs."""

from collections.abc import Collection, Sequence

from common.errors import InvalidInputError
from manager.domain.model import ApiRoleRecord
from manager.domain.permissions import level_of
from manager.usecases.context import Context


class RoleUseCases:
    """Use cases of roles. A role is worth the level that its permissions give."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def list(self) -> Sequence[ApiRoleRecord]:
        """Return all roles, the built-in ones first."""
        return await self._context.store.roles.list()

    async def add(self, name: str, permissions: Collection[str], *, actor: str) -> int:
        """Make a role; return its id. Raises ConflictError if the name is taken."""
        _check(permissions)
        async with self._context.store.transaction():
            role_id = await self._context.store.roles.add(name, permissions)
            await self._note(actor, "role.added", role_id, name, permissions)
        return role_id

    async def change(self, role_id: int, name: str, permissions: Collection[str], *, actor: str) -> None:
        """Change a role, and thereby the rights of the programs that have it.

        Raises NotFoundError, ConflictError (built in, name taken).
        """
        _check(permissions)
        known = next((each for each in await self.list() if each.id == role_id), None)
        if known is not None and (known.name, set(known.permissions)) == (name, set(permissions)):
            return
        async with self._context.store.transaction():
            await self._context.store.roles.change(role_id, name, permissions, level=level_of(permissions))
            await self._note(actor, "role.changed", role_id, name, permissions)

    async def remove(self, role_ids: Sequence[int], *, actor: str) -> None:
        """Remove all of these roles or none.

        Raises NotFoundError, and ConflictError if one is built in or in use.
        """
        async with self._context.store.transaction():
            await self._context.store.roles.remove(role_ids)
            for role_id in dict.fromkeys(role_ids):
                await self._context.audit(actor, "role.removed", f"role {role_id}")

    async def _note(
        self, actor: str, act: str, role_id: int, name: str, permissions: Collection[str]
    ) -> None:
        detail = {"name": name, "permissions": sorted(permissions)}
        await self._context.audit(actor, act, f"role {role_id}", detail)


def _check(permissions: Collection[str]) -> None:
    for each in permissions:
        if level_of([each]) is None:
            raise InvalidInputError("permissions", f"there is no permission '{each}'")
