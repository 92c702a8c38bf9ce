"""Registered programs that sign in with a key, their roles, and the roles' permissions."""

from collections.abc import Mapping, Sequence

from common.errors import ConflictError, InvalidInputError, NotFoundError
from manager.domain.likeness import check_name_free
from manager.domain.model import ApiRoleRecord, ClientRecord
from manager.domain.permissions import PERMISSIONS
from manager.infinity_api.collection import Made, Rows
from manager.infinity_api.contract.description import Resource, Values
from manager.infinity_api.contract.errors import WHOLE, ValuesError, taken
from manager.infinity_api.contract.filters import Row
from manager.infinity_api.contract.resources.access import OAUTH2_CLIENT, PERMISSION, ROLE
from manager.usecases.usecases import UseCases


class Permissions:
    """The permissions a role may have."""

    resource = PERMISSION

    async def rows(self) -> Rows:
        return {
            each.id: {"id": each.id, "name": each.name, "codename": each.codename} for each in PERMISSIONS
        }

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows


class Roles:
    """What programs may do."""

    resource = ROLE

    def __init__(self, use_cases: UseCases) -> None:
        self._roles = use_cases.roles

    async def rows(self) -> Rows:
        return {
            record.id: {"id": record.id, "name": record.name, "permissions": _permission_ids(record)}
            for record in await self._roles.list()
        }

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        name = str(values["name"])
        await self._check_name(name, None)
        return Made(object_id=await self._roles.add(name, _codenames(values["permissions"]), actor=actor))

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Change one, and what the programs that have it may do."""
        row = (await self.rows()).get(object_id)
        if row is None:
            raise NotFoundError(f"there is no role {object_id}")
        name = str(values.get("name", row["name"]))
        await self._check_name(name, object_id)
        permissions = _codenames(values.get("permissions", row["permissions"]))
        await self._roles.change(object_id, name, permissions, actor=actor)

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Delete; not while a program has it."""
        await self._roles.remove(object_ids, actor=actor)

    async def _check_name(self, name: str, own: int | None) -> None:
        names = {number: str(row["name"]) for number, row in (await self.rows()).items()}
        _check_free(ROLE, "name", name, names, own)


class Clients:
    """Programs that sign in with a key of their own.

    `number_of` knows them by the id that they sign in with, too.
    """

    resource = OAUTH2_CLIENT

    def __init__(self, use_cases: UseCases) -> None:
        self._clients = use_cases.clients
        self._roles = use_cases.roles

    async def rows(self) -> Rows:
        built_in = {record.name: record.id for record in await self._roles.list() if record.built_in}
        records = sorted(await self._clients.list(), key=lambda each: each.id)
        return {
            record.id: _client_row(
                record, built_in[record.role] if record.api_role_id is None else record.api_role_id
            )
            for record in records
        }

    async def number_of(self, text: str) -> int | None:
        """Return the number of the client with this client id."""
        return next((each.id for each in await self._clients.list() if each.client_id == text), None)

    async def complete(self, rows: Sequence[Row]) -> Sequence[Row]:
        """Return these as they are."""
        return rows

    async def create(self, values: Values, *, actor: str) -> Made:
        """Register one, and make its key, which is shown once."""
        name, role = str(values["client_name"]), _number(values["role"])
        await self._check_name(name, None)
        try:
            made = await self._clients.add_with_key(name, api_role_id=role, actor=actor)
        except (ConflictError, InvalidInputError) as error:
            raise _in_its_words(error) from error
        return Made(
            object_id=made.record.id,
            document={"private_key_jwt": made.private_key_pem},
            row=_client_row(made.record, role),
        )

    async def change(self, object_id: int, values: Values, *, actor: str) -> None:
        """Rename one, or give it another role."""
        record, row = await self._record(object_id), (await self.rows()).get(object_id)
        if row is None:
            raise NotFoundError(f"client {object_id} was deleted a moment ago")
        name, role = str(values.get("client_name", record.name)), _number(values.get("role", row["role"]))
        if (name, role) == (record.name, row["role"]):
            return
        await self._check_name(name, object_id)
        try:
            await self._clients.change(object_id, name=name, api_role_id=role, actor=actor)
        except (ConflictError, InvalidInputError) as error:
            raise _in_its_words(error) from error

    async def delete(self, object_ids: Sequence[int], *, actor: str) -> None:
        """Remove; their access tokens are revoked."""
        names = [(await self._record(number)).name for number in dict.fromkeys(object_ids)]
        await self._clients.remove(*names, actor=actor)

    async def _record(self, object_id: int) -> ClientRecord:
        for record in await self._clients.list():
            if record.id == object_id:
                return record
        raise NotFoundError(f"there is no client {object_id}")

    async def _check_name(self, name: str, own: int | None) -> None:
        names = {each.id: each.name for each in await self._clients.list()}
        _check_free(OAUTH2_CLIENT, "client_name", name, names, own)


def _check_free(resource: Resource, field: str, name: str, names: Mapping[int, str], own: int | None) -> None:
    try:
        check_name_free(resource.title, name, names, own=own)
    except ConflictError as error:
        raise ValuesError(resource.name, {field: [taken(resource, field)]}) from error


def _client_row(record: ClientRecord, role: int) -> Row:
    return {"id": record.id, "client_id": record.client_id, "client_name": record.name, "role": role}


def _in_its_words(error: ConflictError | InvalidInputError) -> ValuesError:
    """Return an error by the fields that the contract has."""
    field = (
        {"name": "client_name"}.get(error.field, error.field)
        if isinstance(error, InvalidInputError)
        else WHOLE
    )
    return ValuesError(OAUTH2_CLIENT.name, {field: [error.message]})


def _permission_ids(record: ApiRoleRecord) -> list[int]:
    return [each.id for each in PERMISSIONS if each.codename in record.permissions]


def _codenames(ids: object) -> list[str]:
    wanted = ids if isinstance(ids, list) else []
    return [each.codename for each in PERMISSIONS if each.id in wanted]


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a required link was checked to be there")
    return value
