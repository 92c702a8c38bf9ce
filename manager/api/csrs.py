"""Certificate signing requests over HTTP."""

import msgspec
from aiohttp import web

from common.api.certificates import CertificateAnswer
from common.api.codes import KeyKind, Role
from common.api.signing_requests import (
    NewRequest,
    RequestAnswer,
    RequestFields,
    RequestsAnswer,
    SignedCertificate,
)
from common.errors import InvalidInputError
from common.ids import CertificateId, CsrId, node_names
from manager.api.answers import shown_answer
from manager.api.routes import CONFIRM, Call, Route, empty, reply
from manager.domain.model import CsrRecord
from manager.http.errors import consequence_answers
from manager.pki.write.csr import DEFAULT_TEMPLATE
from manager.usecases.csrs import CsrChanges, KeyChoice


async def list_all(call: Call) -> web.StreamResponse:
    """Return all certificate signing requests, answered or not."""
    found = await call.api.use_cases.csrs.list()
    return reply(RequestsAnswer(requests=[_answer(each) for each in found]))


async def show(call: Call) -> web.StreamResponse:
    """Return one certificate signing request, with its PEM text."""
    return reply(_answer(await call.api.use_cases.csrs.get(CsrId(call.number("id")))))


async def fields(call: Call) -> web.StreamResponse:
    """Return the fields of a request to replace a certificate."""
    found = await call.api.use_cases.csrs.fields_for(CertificateId(call.number("id")))
    return reply(
        RequestFields(
            subject=found.subject,
            subject_alt_names=list(found.alternatives),
            eku_server_auth=found.server_auth,
            eku_client_auth=found.client_auth,
        )
    )


async def add(call: Call) -> web.StreamResponse:
    """Create a signing request, with a new or the given private key; `certificate` names one to replace."""
    body: NewRequest = call.body
    uploaded = body.private_key_type == "UPLOAD"
    if uploaded and not body.private_key:
        raise InvalidInputError("private_key", "with UPLOAD the private key is needed")
    if body.private_key and not uploaded:
        raise InvalidInputError("private_key_type", "a private key is only taken with UPLOAD")
    key = KeyChoice(
        kind=None if uploaded or body.private_key_type is None else KeyKind(body.private_key_type),
        is_alike=body.private_key_type is None,
        private_key=body.private_key,
        passphrase=body.private_key_passphrase,
    )
    changes = CsrChanges(
        subject=body.subject,
        alt_names=body.subject_alt_names,
        extra_alt_names=body.extra_subject_alt_names,
        server_auth=body.eku_server_auth,
        client_auth=body.eku_client_auth,
        template=DEFAULT_TEMPLATE if body.ad_compatible else "",
    )
    made = await call.api.use_cases.csrs.create(
        replaces=None if body.certificate is None else CertificateId(body.certificate),
        changes=changes,
        key=key,
        actor=call.actor,
    )
    return reply(_answer(made), status=201)


async def answer(call: Call) -> web.StreamResponse:
    """Store the signed answer."""
    body: SignedCertificate = call.body
    answered = await call.api.use_cases.csrs.answer(
        CsrId(call.number("id")),
        certificate=body.certificate,
        passphrase=body.passphrase,
        parameters=body.parameters,
        take_over=body.take_over,
        nodes=node_names(body.nodes),
        slot=body.slot,
        confirm=body.confirm,
        replaces=body.replace,
        actor=call.actor,
    )
    made = msgspec.structs.replace(
        shown_answer(
            await call.api.use_cases.certificates.describe(answered.kept.certificate, answered.inventory)
        ),
        created=answered.kept.created,
        consequences=consequence_answers(answered.consequences),
    )
    return reply(made)


async def delete(call: Call) -> web.StreamResponse:
    """Delete a certificate signing request, with its private key."""
    await call.api.use_cases.csrs.delete([CsrId(call.number("id"))], confirm=call.confirm(), actor=call.actor)
    return empty()


def _answer(record: CsrRecord) -> RequestAnswer:
    return RequestAnswer(
        id=record.id,
        subject_name=record.subject_name,
        raw_subject=record.raw_subject,
        subject_alt_names=record.subject_alt_names,
        key_type=record.key_type,
        csr=record.pem,
        replaces=record.replaces_id,
        answered_by=record.answer_id,
        created_at_s=record.created_s,
        answered_at_s=record.answered_s,
    )


ROUTES = (
    Route(
        method="GET",
        path="requests",
        role=Role.READ_ONLY,
        handler=list_all,
        summary="List certificate signing requests",
        answers={200: RequestsAnswer},
    ),
    Route(
        method="POST",
        path="requests",
        role=Role.ADMINISTRATOR,
        handler=add,
        heavy=True,
        body=NewRequest,
        summary="Create a certificate signing request",
        answers={201: RequestAnswer},
    ),
    Route(
        method="GET",
        path="requests/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a certificate signing request",
        answers={200: RequestAnswer},
    ),
    Route(
        method="POST",
        path="requests/{id}/answer",
        role=Role.ADMINISTRATOR,
        handler=answer,
        heavy=True,
        body=SignedCertificate,
        summary="Upload the certificate that a CA made from a request",
        answers={200: CertificateAnswer},
    ),
    Route(
        method="DELETE",
        path="requests/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        query=(CONFIRM,),
        summary="Delete a certificate signing request",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="certificates/{id}/request-fields",
        role=Role.READ_ONLY,
        handler=fields,
        summary="Show what a request to replace a certificate asks for",
        answers={200: RequestFields},
    ),
)
