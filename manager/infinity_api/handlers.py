"""Method handlers of the management API: carry out a method on a path's target.

Decides the order of checks: whether the method is allowed, whether the body is valid, whether everything it
refers to exists; only then are changes made. Knows no HTTP besides the answers of
`manager.infinity_api.contract.errors`. Invariant: a refused request has changed nothing. The objects of one
PATCH are created and changed one by one; the answer to a failure says how many came before it.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from common.errors import CertcastError
from manager.domain.callers import Caller
from manager.http.authentication import Api
from manager.http.pieces import AT_ONCE, stream_list
from manager.infinity_api.bindings import collections_of
from manager.infinity_api.certificates_import import CertificatesImport
from manager.infinity_api.collection import SPARED, Collection, Made, Rows
from manager.infinity_api.contract.bodies import Change, read_bulk, read_values
from manager.infinity_api.contract.description import Method, Resource, Values
from manager.infinity_api.contract.errors import (
    ACCEPTED,
    BAD_ID,
    COMMAND_DONE,
    NO_CONTENT,
    WHOLE,
    InvalidRequestError,
    NoObjectError,
    Reply,
    ValuesError,
    check_method,
    created,
    found,
    method_not_allowed,
    options,
)
from manager.infinity_api.contract.filters import Parameters, Row, check_no_stray_filter
from manager.infinity_api.contract.index import Part, Target
from manager.infinity_api.contract.query import SHORT, envelope, page, read_query, select
from manager.infinity_api.contract.resources.access import OAUTH2_CLIENT
from manager.infinity_api.contract.resources.certificates import (
    CA_CERTIFICATE,
    CERTIFICATE_SIGNING_REQUEST,
    CERTIFICATES_IMPORT,
    TLS_CERTIFICATE,
)
from manager.infinity_api.contract.resources.nodes import MANAGEMENT_VM, WORKER_VM
from manager.infinity_api.contract.schema import root_document, schema_document
from manager.infinity_api.contract.values import read_path_id, write_object
from manager.infinity_api.links import Linked, Links, resolve_links
from manager.infinity_api.nodes import Nodes

READ_BY_WORKERS: Final = (
    TLS_CERTIFICATE,
    CA_CERTIFICATE,
    CERTIFICATE_SIGNING_REQUEST,
    CERTIFICATES_IMPORT,
    WORKER_VM,
    MANAGEMENT_VM,
)
"""Resources whose bodies contain certificates or keys, or cause keys to be made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest:
    """A request that is allowed to its sender.

    `method` is in upper case; `body` is decoded JSON, None where there is none.
    """

    method: str
    target: Target
    parameters: Parameters
    body: object
    caller: Caller

    @property
    def actor(self) -> str:
        """Who is asking, for the audit log."""
        return self.caller.user.name


class Handlers:
    def __init__(self, api: Api) -> None:
        collections = collections_of(api)
        self._clients = collections.clients
        self._links = Links(collections.readable, collections.writable)
        self._import = CertificatesImport(api.use_cases)
        self._writable = {each.resource.path: each for each in collections.writable}
        self._readable = {each.resource.path: each for each in collections.readable}

    async def answer(self, request: ApiRequest) -> Reply:
        """Do what is asked. Raises CertcastError."""
        target, resource = request.target, request.target.resource
        if request.method == "OPTIONS":
            return options(_allowed(target))
        if resource is None:
            return _refuse_writing(request) or found(root_document(target.text))
        match target.part:
            case Part.SCHEMA:
                return _refuse_writing(request) or found(schema_document(resource))
            case Part.SET:
                return _refuse_writing(request) or await self._set(resource, target.text)
            case Part.STATISTICS:
                return _refuse_writing(request) or await self._statistics(request, resource)
            case Part.OBJECT:
                return await self._object(request, resource)
            case Part.COMMAND:
                return check_method(resource, request.method, to_one=False) or await self._command(
                    request, resource
                )
            case _:
                return check_method(resource, request.method, to_one=False) or await self._collection(
                    request, resource
                )

    async def _collection(self, request: ApiRequest, resource: Resource) -> Reply:
        match request.method:
            case "POST":
                values = read_values(resource, request.body, whole=True)
                await self._links.check(resource, values)
                made = await self._create(resource, values, request)
                document: Mapping[str, object] | None = made.document
                if made.row is not None:
                    (shown,) = await self._shown(self._readable[resource.path], [made.row])
                    document = {**shown, **(document or {})}
                return created(resource.uri(made.object_id), document)
            case "PATCH":
                return await self._several(request, resource)
            case "DELETE":
                check_no_stray_filter(resource, request.parameters)
                query = read_query(resource, request.parameters)
                rows = await self._readable[resource.path].rows()
                wanted = await asyncio.to_thread(select, query, rows)
                spared = {number for number in wanted if SPARED in rows[number]}
                await self._delete(resource, [each for each in wanted if each not in spared], request.actor)
                return NO_CONTENT
            case _:
                return await self._list(request, resource)

    async def _create(self, resource: Resource, values: Values, request: ApiRequest) -> Made:
        collection = self._writable[resource.path]
        if isinstance(collection, Nodes) and request.caller.may_provision:
            return await collection.create_to_join(values, maker=request.caller.maker, actor=request.actor)
        return await collection.create(values, actor=request.actor)

    async def _list(self, request: ApiRequest, resource: Resource) -> Reply:
        collection = self._readable[resource.path]
        query = read_query(resource, request.parameters)
        rows = await collection.rows()
        # off the loop, because there may be thousands
        wanted = await asyncio.to_thread(select, query, rows)
        cut = page(query, wanted)
        if len(cut) > AT_ONCE:
            empty = envelope(resource, query, total=len(wanted), objects=[])
            return Reply(200, chunks=stream_list(empty, self._parts(collection, rows, cut)))
        objects = await self._shown(collection, [rows[number] for number in cut])
        document = envelope(resource, query, total=len(wanted), objects=objects)
        return await asyncio.to_thread(found, document)

    async def _parts(
        self, collection: Collection, rows: Rows, cut: Sequence[int]
    ) -> AsyncIterator[Sequence[object]]:
        """Return the objects of a long list part by part, whole."""
        linked = await self._links.targets(collection.resource)
        for start in range(0, len(cut), AT_ONCE):
            part = [rows[number] for number in cut[start : start + AT_ONCE]]
            yield await self._shown(collection, part, linked)

    async def _statistics(self, request: ApiRequest, resource: Resource) -> Reply:
        """Answer that nothing is measured on a node."""
        object_id = read_path_id(request.target.text)
        if object_id is None:
            return BAD_ID
        if object_id not in await self._readable[resource.path].rows():
            raise _missing(resource, object_id)
        query = read_query(resource, request.parameters)
        return found(envelope(resource, query, total=0, objects=[]))

    async def _object(self, request: ApiRequest, resource: Resource) -> Reply:
        refused = check_method(resource, request.method, to_one=True)
        if refused is not None:
            return refused
        object_id = read_path_id(request.target.text)
        if object_id is None and resource is OAUTH2_CLIENT:
            object_id = await self._clients.number_of(request.target.text)
        if object_id is None:
            return BAD_ID
        rows = await self._readable[resource.path].rows()
        if object_id not in rows:
            raise _missing(resource, object_id)
        match request.method:
            case "PATCH" | "PUT":
                values = read_values(resource, request.body, whole=False, before=rows[object_id])
                if request.method == "PATCH":
                    _check_needed(resource, values, rows[object_id])
                await self._links.check(resource, values)
                await self._writable[resource.path].change(object_id, values, actor=request.actor)
                return NO_CONTENT if request.method == "PUT" else ACCEPTED
            case "DELETE":
                _check_not_spared(resource, [rows[object_id]])
                await self._delete(resource, [object_id], request.actor)
                return NO_CONTENT
            case _:
                shown = await self._shown(self._readable[resource.path], [rows[object_id]])
                if not shown:
                    raise _missing(resource, object_id)
                return found(shown[0])

    async def _set(self, resource: Resource, text: str) -> Reply:
        collection = self._readable[resource.path]
        rows = await collection.rows()
        wanted = [(part, read_path_id(part)) for part in text.split(";") if part]
        # each once: the answer to 8,000 repetitions would be a thousand times as long as the request
        there = list(dict.fromkeys(number for _, number in wanted if number is not None and number in rows))
        absent = list(dict.fromkeys(part for part, number in wanted if number not in rows))
        rest = {"not_found": absent} if absent else {}
        if len(there) > AT_ONCE:
            return Reply(
                200, chunks=stream_list({**rest, "objects": []}, self._parts(collection, rows, there))
            )
        return found({**rest, "objects": await self._shown(collection, [rows[each] for each in there])})

    async def _command(self, request: ApiRequest, resource: Resource) -> Reply:
        await self._import.run(read_values(resource, request.body, whole=True), actor=request.actor)
        return COMMAND_DONE

    async def _several(self, request: ApiRequest, resource: Resource) -> Reply:
        """Change, make and delete several objects. Everything is checked before anything is done."""
        rows = await self._readable[resource.path].rows()
        bulk = read_bulk(resource, request.body, rows)
        for change in bulk.changes:
            if change.object_id is not None and change.object_id not in rows:
                raise _missing(resource, change.object_id)
            await self._links.check(resource, change.values)
        deleted = [number for number in dict.fromkeys(bulk.deleted) if number in rows]
        _check_not_spared(resource, [rows[number] for number in deleted])
        await self._links.check_unused(resource, deleted)
        ids = await self._carry_out(resource, bulk.changes, request.actor)
        if deleted:
            try:
                await self._delete(resource, deleted, request.actor)
            except CertcastError as error:
                if not ids:
                    raise
                raise _partly("deleted_objects", error, len(ids)) from error
        rows = await self._readable[resource.path].rows()
        shown = await self._shown(self._readable[resource.path], [rows[each] for each in ids if each in rows])
        uris = [resource.uri(number) for number in bulk.deleted]
        return Reply(202, msgspec.json.encode({"objects": shown, "deleted_objects": uris}))

    async def _carry_out(self, resource: Resource, changes: Sequence[Change], actor: str) -> list[int]:
        collection, ids = self._writable[resource.path], list[int]()
        for number, change in enumerate(changes):
            try:
                if change.object_id is None:
                    ids.append((await collection.create(change.values, actor=actor)).object_id)
                else:
                    await collection.change(change.object_id, change.values, actor=actor)
                    ids.append(change.object_id)
            except CertcastError as error:
                if number == 0:
                    raise
                raise _partly(f"objects[{number}]", error, number) from error
        return ids

    async def _delete(self, resource: Resource, object_ids: Sequence[int], actor: str) -> None:
        await self._links.check_unused(resource, object_ids)
        if object_ids:
            await self._writable[resource.path].delete(object_ids, actor=actor)

    async def _shown(
        self, collection: Collection, rows: Sequence[Row], linked: Linked | None = None
    ) -> list[dict[str, object]]:
        """Return rows as answers have them: whole objects where links are nested, null for a link to what is gone."""
        resource = collection.resource
        if linked is None:
            linked = await self._links.targets(resource)
        complete = await collection.complete(rows)
        shown: list[dict[str, object]] = []
        for start in range(0, len(complete), AT_ONCE):
            part = complete[start : start + AT_ONCE]
            shown += [write_object(resource, resolve_links(resource, row, linked)) for row in part]
            await asyncio.sleep(0)
        return shown


def is_heavy(request: ApiRequest) -> bool:
    """Whether a request may take long: it reads untrusted data, or a long list.

    Raises InvalidRequestError.
    """
    resource = request.target.resource
    if resource is None:
        return False
    if request.method in {"GET", "HEAD"}:
        if request.target.part is Part.SET:
            return request.target.text.count(";") >= SHORT
        return request.target.part is Part.COLLECTION and read_query(resource, request.parameters).is_long
    return request.body is not None and resource in READ_BY_WORKERS


def _allowed(target: Target) -> frozenset[Method]:
    if target.resource is not None and target.part is Part.OBJECT:
        return target.resource.detail_methods
    if target.resource is not None and target.part in {Part.COLLECTION, Part.COMMAND}:
        return target.resource.list_methods
    return frozenset({Method.GET})


def _refuse_writing(request: ApiRequest) -> Reply | None:
    """Return the refusal of every other method on a read-only path."""
    return None if request.method in {"GET", "HEAD"} else method_not_allowed([Method.GET])


def _check_needed(resource: Resource, values: Values, row: Row) -> None:
    missing = [name for name in resource.patch_needs if not values.get(name) and not row.get(name)]
    if missing:
        raise ValuesError(resource.name, {name: [f"The {name} is required."] for name in missing})


def _check_not_spared(resource: Resource, rows: Iterable[Row]) -> None:
    reasons = [str(row[SPARED]) for row in rows if SPARED in row]
    if reasons:
        raise ValuesError(resource.name, {WHOLE: reasons})


def _partly(where: str, error: CertcastError, done: int) -> InvalidRequestError:
    # not a 5xx, or a client would repeat changes already made
    return InvalidRequestError(f"{where}: {error.message}; the {done} before it were carried out.")


def _missing(resource: Resource, object_id: int) -> NoObjectError:
    return NoObjectError(f"there is no {resource.name} {object_id}")
