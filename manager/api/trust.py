"""Custom trusted CAs over HTTP, and the built-in list to look at."""

from typing import Annotated

import msgspec
from aiohttp import web

from manager.api.answers import trusted_ca_answer, trusted_ca_record_answer
from manager.api.routes import Call, Route, attachment, empty, reply
from manager.domain.model import Role

Ids = Annotated[list[int], msgspec.Meta(min_length=1, max_length=10_000)]


class NewTrustedCas(msgspec.Struct, frozen=True, kw_only=True):
    """One or more CA certificates in PEM."""

    certificates: str


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """What to change; what is left out stays. `trusted_intermediate` says whether nodes verify peers with it."""

    certificate: str | None = None
    trusted_intermediate: bool | None = None
    force: bool = False


class Delete(msgspec.Struct, frozen=True, kw_only=True):
    """Which to delete, all or none; `force` even if that is all or more than a fifth of them."""

    ids: Ids
    force: bool = False


async def list_all(call: Call) -> web.StreamResponse:
    """Answer with all custom ones."""
    return reply(
        {"trusted_cas": [trusted_ca_answer(each) for each in await call.api.operations.trust.list()]}
    )


async def builtin(call: Call) -> web.StreamResponse:
    """Answer with the built-in list."""
    found = [
        {
            "subject_name": each.certificate.subject_name,
            "raw_subject": each.certificate.raw_subject,
            "fingerprint": each.certificate.fingerprint,
            "not_after_s": each.certificate.not_after_s,
            "status": each.statuses[0].text,
        }
        for each in await call.api.operations.trust.builtin()
    ]
    return reply({"builtin": found})


async def show(call: Call) -> web.StreamResponse:
    """Answer with one, decoded."""
    return reply(trusted_ca_answer(await call.api.operations.trust.show(call.number("id"))))


async def add(call: Call) -> web.StreamResponse:
    """Take all of an upload, or none."""
    body: NewTrustedCas = call.body
    kept = await call.api.operations.trust.upload(body.certificates, actor=call.actor)
    answers = [{**trusted_ca_record_answer(record), "created": created} for record, created in kept]
    return reply({"trusted_cas": answers}, status=201)


async def edit(call: Call) -> web.StreamResponse:
    """Change one; 409 if that would drop too much and `force` is not given."""
    body: Edit = call.body
    operations, number = call.api.operations.trust, call.number("id")
    await operations.edit(
        number,
        certificate=body.certificate,
        trusted_intermediate=body.trusted_intermediate,
        force=body.force,
        actor=call.actor,
    )
    return reply(trusted_ca_answer(await operations.show(number)))


async def export(call: Call) -> web.StreamResponse:
    """Answer with one file of all custom ones."""
    return attachment(await call.api.operations.trust.export())


async def delete(call: Call) -> web.StreamResponse:
    """Delete one; 409 if that would drop too much and `force` is not given."""
    await call.api.operations.trust.delete([call.number("id")], force=call.flag("force"), actor=call.actor)
    return empty()


async def delete_some(call: Call) -> web.StreamResponse:
    """Delete several, all or none."""
    body: Delete = call.body
    await call.api.operations.trust.delete(body.ids, force=body.force, actor=call.actor)
    return empty()


ROUTES = (
    Route(
        method="GET", path="trusted-cas", role=Role.READ_ONLY, handler=list_all, summary="List trusted CAs"
    ),
    Route(
        method="POST",
        path="trusted-cas",
        role=Role.ADMINISTRATOR,
        handler=add,
        body=NewTrustedCas,
        summary="Upload trusted CAs",
    ),
    Route(
        method="GET",
        path="trusted-cas/builtin",
        role=Role.READ_ONLY,
        handler=builtin,
        summary="List the built-in trusted CAs",
    ),
    Route(
        method="GET",
        path="trusted-cas/export",
        role=Role.READ_ONLY,
        handler=export,
        summary="Download all custom trusted CAs",
    ),
    Route(
        method="POST",
        path="trusted-cas/delete",
        role=Role.ADMINISTRATOR,
        handler=delete_some,
        body=Delete,
        summary="Delete several trusted CAs",
    ),
    Route(
        method="GET",
        path="trusted-cas/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a trusted CA",
    ),
    Route(
        method="PATCH",
        path="trusted-cas/{id}",
        role=Role.ADMINISTRATOR,
        handler=edit,
        body=Edit,
        summary="Change a trusted CA",
    ),
    Route(
        method="DELETE",
        path="trusted-cas/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Delete a trusted CA",
    ),
)
