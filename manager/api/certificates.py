"""TLS certificates over HTTP: list, show, upload, import, edit, assign, download and delete."""

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext

import msgspec
from aiohttp import web

from common.api.certificates import (
    AssignedAnswer,
    CertificateAnswer,
    CertificatesAnswer,
    ImportAnswer,
    Places,
    SlotsAnswer,
)
from common.api.codes import CertificateOrder, Role, StatusCode
from common.api.uploads import (
    Assign,
    CertificateEdit,
    CertificatesToDelete,
    DownloadRequest,
    Import,
    NewCertificate,
)
from common.errors import AccessError, InvalidInputError, Reason
from common.ids import CertificateId, node_names
from common.limits import PAGE_MAX
from manager.api import slots
from manager.api.annotations import given_annotations
from manager.api.answers import (
    certificate_answer,
    finding_answers,
    left_out,
    place,
    shown_answer,
    trusted_ca_record_answer,
)
from manager.api.routes import CONFIRM, FORCE, Call, QueryParameter, Route, reply
from manager.domain.callers import check_password_given, includes
from manager.domain.certificate_list import PAGE, CertificateQuery
from manager.http.downloads import PEM_FILE, PFX_FILE, attachment
from manager.http.errors import consequence_answers
from manager.http.pieces import AT_ONCE, guard_stream, send, stream_list
from manager.pki.read.batch import ImportFile
from manager.usecases.assignments import Assigned
from manager.usecases.certificate_views import ListedCertificate
from manager.usecases.downloads import DownloadOptions
from manager.usecases.uploads import Edit, Upload


async def list_all(call: Call) -> web.StreamResponse:
    """Return one page of the certificates that match the query."""
    query = _query(call)
    async with call.heavy_turn() if query.limit > AT_ONCE else nullcontext():
        total, found = await call.api.use_cases.certificates.list(query)
    if len(found) <= AT_ONCE:
        return reply(
            CertificatesAnswer(total=total, certificates=[certificate_answer(each) for each in found])
        )
    pieces = stream_list(CertificatesAnswer(total=total, certificates=[]), _parts(found))
    return await send(call.request, guard_stream(pieces, call.rights.check), turn=call.heavy_turn)


async def _parts(found: Sequence[ListedCertificate]) -> AsyncIterator[Sequence[CertificateAnswer]]:
    for start in range(0, len(found), AT_ONCE):
        yield [certificate_answer(each) for each in found[start : start + AT_ONCE]]


async def show(call: Call) -> web.StreamResponse:
    """Return one certificate, decoded, with its chain of trust and its texts."""
    return reply(shown_answer(await call.api.use_cases.certificates.show(CertificateId(call.number("id")))))


async def add(call: Call) -> web.StreamResponse:
    """Upload a certificate; 201 for a new entry, 200 for one updated in place."""
    body: NewCertificate = call.body
    use_cases = call.api.use_cases.certificates
    upload = Upload(
        certificate=body.certificate,
        private_key=body.private_key,
        passphrase=body.private_key_passphrase,
        parameters=body.parameters,
        nodes=node_names(body.nodes),
        slot=body.slot,
        annotations=given_annotations(body),
    )
    kept = await use_cases.upload(upload, confirm=body.confirm, replaces=body.replace, actor=call.actor)
    made = msgspec.structs.replace(
        shown_answer(await use_cases.describe(kept.record, kept.inventory)),
        created=kept.created,
        consequences=consequence_answers(kept.consequences),
    )
    return reply(made, status=201 if kept.created else 200)


async def import_files(call: Call) -> web.StreamResponse:
    """Import all files of a batch or none; or, on request, the usable ones."""
    body: Import = call.body
    use_cases = call.api.use_cases.certificates
    kept = await use_cases.import_files(
        [ImportFile(file.name, file.content) for file in body.files],
        passphrase=body.private_key_passphrase,
        skip_unusable=body.skip_unusable,
        confirm=body.confirm,
        actor=call.actor,
    )
    tls: list[CertificateAnswer] = []
    for record, created in kept.tls:
        made = shown_answer(await use_cases.describe(record, kept.inventory))
        tls.append(msgspec.structs.replace(made, created=created))
    trusted = [trusted_ca_record_answer(record, created=created) for record, created in kept.trusted_cas]
    answer = ImportAnswer(
        certificates=tls,
        trusted_cas=trusted,
        warnings=list(kept.warnings),
        left_out=left_out(kept.left_out),
        consequences=consequence_answers(kept.consequences),
    )
    return reply(answer)


async def edit(call: Call) -> web.StreamResponse:
    """Change a certificate's content, nodes or annotations; omitted fields and the private key stay."""
    body: CertificateEdit = call.body
    number = CertificateId(call.number("id"))
    edited = Edit(
        certificate=body.certificate,
        passphrase=body.passphrase,
        parameters=body.parameters,
        nodes=None if body.nodes is None else node_names(body.nodes),
        slot=body.slot,
        annotations=given_annotations(body),
    )
    use_cases = call.api.use_cases.certificates
    kept = await use_cases.edit(number, edited, confirm=body.confirm, actor=call.actor)
    made = shown_answer(await use_cases.describe(kept.record, kept.inventory))
    return reply(msgspec.structs.replace(made, consequences=consequence_answers(kept.consequences)))


async def assign(call: Call) -> web.StreamResponse:
    """Assign a certificate to a slot of these nodes (null: all conferencing ones), replacing its former one."""
    body: Assign = call.body
    found = await call.api.use_cases.assignments.assign(
        CertificateId(call.number("id")),
        nodes=None if body.nodes is None else node_names(body.nodes),
        slot=body.slot,
        confirm=body.confirm,
        actor=call.actor,
    )
    return reply(assigned_answer(found))


def assigned_answer(assigned: Assigned) -> AssignedAnswer:
    """Return the nodes of a certificate, with notes on the change."""
    return AssignedAnswer(
        nodes=list(assigned.nodes),
        consequences=consequence_answers(assigned.consequences),
        findings=finding_answers(assigned.findings),
    )


async def download(call: Call) -> web.StreamResponse:
    """Return one file."""
    body: DownloadRequest = call.body
    if body.include_key and not includes(call.user.role, Role.ADMINISTRATOR):
        raise AccessError(
            f"a download with private keys needs the role {Role.ADMINISTRATOR}", reason=Reason.FORBIDDEN
        )
    if body.include_key:
        check_password_given(call.caller)
    wanted = DownloadOptions(
        leaf=body.include_certificate,
        chain=body.include_intermediates,
        key=body.include_key,
        form=body.format,
        passphrase=body.passphrase,
    )
    return attachment(
        await call.api.use_cases.downloads.download(
            [CertificateId(each) for each in body.ids], wanted, actor=call.actor
        )
    )


async def delete(call: Call) -> web.StreamResponse:
    """Delete a certificate; 409 if it is assigned and `force` is not given."""
    return await _delete(
        call, [CertificateId(call.number("id"))], force=call.flag("force"), confirm=call.confirm()
    )


async def delete_some(call: Call) -> web.StreamResponse:
    """Delete several certificates, all or none."""
    body: CertificatesToDelete = call.body
    return await _delete(
        call, [CertificateId(each) for each in body.ids], force=body.force, confirm=body.confirm
    )


async def _delete(
    call: Call, ids: list[CertificateId], *, force: bool, confirm: str | None
) -> web.StreamResponse:
    lost = await call.api.use_cases.certificates.delete(ids, force=force, confirm=confirm, actor=call.actor)
    return reply(Places(nodes=[place(each) for each in lost]))


def _query(call: Call) -> CertificateQuery:
    wanted = call.request.query
    order = wanted.get("order", CertificateOrder.ID)
    try:
        status = StatusCode(wanted["status"]) if wanted.get("status") else None
    except ValueError as error:
        raise InvalidInputError("status", f"a status is one of {', '.join(StatusCode)}") from error
    try:
        by = CertificateOrder(order.removeprefix("-"))
    except ValueError as error:
        raise InvalidInputError(
            "order", f"a list is ordered by {', '.join(CertificateOrder)}, or -{CertificateOrder.ID}"
        ) from error
    return CertificateQuery(
        search=wanted.get("search", ""),
        status=status,
        node=wanted.get("node"),
        fitting=wanted.get("fitting"),
        order=by,
        descending=order.startswith("-"),
        offset=call.count("offset"),
        limit=call.count("limit", PAGE),
    )


ROUTES = (
    Route(
        method="GET",
        path="certificates",
        role=Role.READ_ONLY,
        handler=list_all,
        summary="List certificates",
        query=(
            QueryParameter("search", str, "words that the names contain"),
            QueryParameter("status", StatusCode, "only those with this status"),
            QueryParameter("node", str, "only those that this node has"),
            QueryParameter(
                "fitting", str, "those that are valid for every name of this node come first", must_exist=True
            ),
            QueryParameter(
                "order", str, f"one of {', '.join(CertificateOrder)}; a leading - reverses the order"
            ),
            QueryParameter("offset", int, "how many to skip"),
            QueryParameter("limit", int, f"how many at most; {PAGE} if left out", least=1, most=PAGE_MAX),
        ),
        answers={200: CertificatesAnswer},
    ),
    Route(
        method="POST",
        path="certificates",
        role=Role.ADMINISTRATOR,
        handler=add,
        heavy=True,
        body=NewCertificate,
        summary="Upload a certificate, and assign it",
        answers={200: CertificateAnswer, 201: CertificateAnswer},
    ),
    Route(
        method="GET",
        path="certificates/by-node",
        role=Role.READ_ONLY,
        handler=slots.by_node,
        heavy=True,
        summary="List what each node's slots have",
        answers={200: SlotsAnswer},
    ),
    Route(
        method="POST",
        path="certificates/download",
        role=Role.READ_ONLY,
        handler=download,
        heavy=True,
        body=DownloadRequest,
        summary="Download certificates, and with a passphrase their keys",
        answers={200: (PEM_FILE, PFX_FILE)},
    ),
    Route(
        method="POST",
        path="certificates/delete",
        role=Role.ADMINISTRATOR,
        handler=delete_some,
        body=CertificatesToDelete,
        summary="Delete several certificates",
        answers={200: Places},
    ),
    Route(
        method="POST",
        path="import",
        role=Role.ADMINISTRATOR,
        handler=import_files,
        heavy=True,
        body=Import,
        summary="Import files with certificates, keys and trusted CAs",
        answers={200: ImportAnswer},
    ),
    Route(
        method="GET",
        path="certificates/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a certificate",
        answers={200: CertificateAnswer},
    ),
    Route(
        method="PATCH",
        path="certificates/{id}",
        role=Role.ADMINISTRATOR,
        handler=edit,
        heavy=True,
        body=CertificateEdit,
        summary="Change a certificate, its parameters, its nodes, or what is written about it",
        answers={200: CertificateAnswer},
    ),
    Route(
        method="DELETE",
        path="certificates/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Delete a certificate",
        query=(FORCE, CONFIRM),
        answers={200: Places},
    ),
    Route(
        method="POST",
        path="certificates/{id}/assign",
        role=Role.ADMINISTRATOR,
        handler=assign,
        body=Assign,
        summary="Assign a certificate to nodes",
        answers={200: AssignedAnswer},
    ),
)
