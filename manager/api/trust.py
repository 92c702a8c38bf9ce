"""Custom trusted CAs over HTTP, and the read-only built-in list."""

from aiohttp import web

from common.api.codes import Role
from common.api.trust import (
    BuiltinCa,
    BuiltinCas,
    NewTrustedCas,
    TrustedCaAnswer,
    TrustedCaEdit,
    TrustedCasAnswer,
    TrustedCasToDelete,
)
from common.ids import TrustedCaId
from common.pki.expiry import as_number
from manager.api.answers import left_out, trusted_ca_answer, trusted_ca_record_answer, unreadable
from manager.api.routes import CONFIRM, FORCE, Call, Route, empty, reply
from manager.http.downloads import PEM_FILE, attachment
from manager.http.errors import consequence_answers


async def list_all(call: Call) -> web.StreamResponse:
    """Return all custom trusted CAs."""
    found = await call.api.use_cases.trust.list()
    warnings = list(await call.api.use_cases.trust.warnings())
    return reply(TrustedCasAnswer(trusted_cas=[trusted_ca_answer(each) for each in found], warnings=warnings))


async def builtin(call: Call) -> web.StreamResponse:
    """Return the built-in list."""
    found = [
        BuiltinCa(
            subject_name=each.certificate.subject_name,
            raw_subject=each.certificate.raw_subject,
            fingerprint=each.certificate.fingerprint,
            not_after_s=as_number(each.certificate.not_after_s),
            unreadable=unreadable(each.certificate.not_before_s, each.certificate.not_after_s),
            status=each.statuses[0].text,
        )
        for each in await call.api.use_cases.trust.builtin()
    ]
    return reply(BuiltinCas(builtin=found))


async def show(call: Call) -> web.StreamResponse:
    """Return one trusted CA, decoded."""
    return reply(trusted_ca_answer(await call.api.use_cases.trust.show(TrustedCaId(call.number("id")))))


async def add(call: Call) -> web.StreamResponse:
    """Upload all certificates or none; or, on request, the usable ones."""
    body: NewTrustedCas = call.body
    taken = await call.api.use_cases.trust.take(
        body.certificates, skip_unusable=body.skip_unusable, confirm=body.confirm, actor=call.actor
    )
    made = TrustedCasAnswer(
        trusted_cas=[trusted_ca_record_answer(record, created=created) for record, created in taken.kept],
        warnings=list(taken.warnings),
        left_out=left_out(taken.left_out) or None,
        consequences=consequence_answers(taken.consequences) or None,
    )
    return reply(made, status=201)


async def edit(call: Call) -> web.StreamResponse:
    """Change a trusted CA; 409 if that would drop too much and `force` is not given."""
    body: TrustedCaEdit = call.body
    kept = await call.api.use_cases.trust.edit(
        TrustedCaId(call.number("id")),
        certificate=body.certificate,
        trusted_intermediate=body.trusted_intermediate,
        force=body.force,
        confirm=body.confirm,
        actor=call.actor,
    )
    return reply(trusted_ca_answer(kept))


async def export(call: Call) -> web.StreamResponse:
    """Return one file of all custom trusted CAs."""
    return attachment(await call.api.use_cases.trust.export())


async def delete(call: Call) -> web.StreamResponse:
    """Delete a trusted CA; 409 if that would drop too much and `force` is not given."""
    await call.api.use_cases.trust.delete(
        [TrustedCaId(call.number("id"))], force=call.flag("force"), confirm=call.confirm(), actor=call.actor
    )
    return empty()


async def delete_some(call: Call) -> web.StreamResponse:
    """Delete several trusted CAs, all or none."""
    body: TrustedCasToDelete = call.body
    await call.api.use_cases.trust.delete(
        [TrustedCaId(each) for each in body.ids], force=body.force, confirm=body.confirm, actor=call.actor
    )
    return empty()


ROUTES = (
    Route(
        method="GET",
        path="trusted-cas",
        role=Role.READ_ONLY,
        handler=list_all,
        summary="List trusted CAs",
        answers={200: TrustedCasAnswer},
    ),
    Route(
        method="POST",
        path="trusted-cas",
        role=Role.ADMINISTRATOR,
        handler=add,
        heavy=True,
        body=NewTrustedCas,
        summary="Upload trusted CAs",
        answers={201: TrustedCasAnswer},
    ),
    Route(
        method="GET",
        path="trusted-cas/builtin",
        role=Role.READ_ONLY,
        handler=builtin,
        summary="List the built-in trusted CAs",
        answers={200: BuiltinCas},
    ),
    Route(
        method="GET",
        path="trusted-cas/export",
        role=Role.READ_ONLY,
        handler=export,
        summary="Download all custom trusted CAs",
        answers={200: (PEM_FILE,)},
    ),
    Route(
        method="POST",
        path="trusted-cas/delete",
        role=Role.ADMINISTRATOR,
        handler=delete_some,
        body=TrustedCasToDelete,
        summary="Delete several trusted CAs",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="trusted-cas/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a trusted CA",
        answers={200: TrustedCaAnswer},
    ),
    Route(
        method="PATCH",
        path="trusted-cas/{id}",
        role=Role.ADMINISTRATOR,
        handler=edit,
        heavy=True,
        body=TrustedCaEdit,
        summary="Change a trusted CA",
        answers={200: TrustedCaAnswer},
    ),
    Route(
        method="DELETE",
        path="trusted-cas/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Delete a trusted CA",
        query=(FORCE, CONFIRM),
        answers={204: None},
    ),
)
