"""Custom trusted CAs over HTTP."""

import msgspec
from aiohttp import web

from manager.api.routes import Call, Route, empty, reply
from manager.domain.model import Role, TrustedCaRecord


class NewTrustedCas(msgspec.Struct, frozen=True, kw_only=True):
    """One or more CA certificates in PEM."""

    certificates: str


async def list_all(call: Call) -> web.StreamResponse:
    """Answer with all."""
    return reply({"trusted_cas": [_answer(each) for each in await call.api.operations.trust.list()]})


async def add(call: Call) -> web.StreamResponse:
    """Take all of an upload, or none."""
    body: NewTrustedCas = call.body
    kept = await call.api.operations.trust.upload(body.certificates, actor=call.actor)
    return reply(
        {"trusted_cas": [{**_answer(each), "created": created} for each, created in kept]}, status=201
    )


async def delete(call: Call) -> web.StreamResponse:
    """Delete one."""
    await call.api.operations.trust.delete([call.number("id")], actor=call.actor)
    return empty()


def _answer(record: TrustedCaRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "subject_name": record.subject_name,
        "issuer_name": record.issuer_name,
        "fingerprint": record.fingerprint,
        "not_after_s": record.not_after_s,
        "self_signed": record.self_signed,
    }


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
        method="DELETE",
        path="trusted-cas/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Delete a trusted CA",
    ),
)
