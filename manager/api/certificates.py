"""TLS certificates over HTTP."""

from typing import Annotated

import msgspec
from aiohttp import web

from common.bundle.manifest import Slot
from manager.api.routes import Call, Route, reply
from manager.domain.model import AssignmentRecord, Role
from manager.operations.certificates import CertificateView

Names = Annotated[list[str], msgspec.Meta(max_length=20_000)]


class NewCertificate(msgspec.Struct, frozen=True, kw_only=True):
    """An upload. The key may stand in `certificate` too; `nodes` get it in `slot` at once."""

    certificate: str
    private_key: str = ""
    private_key_passphrase: str | None = None
    parameters: str = ""
    nodes: Names = []
    slot: str = "server"

    def __repr__(self) -> str:
        return "<upload>"


class Assign(msgspec.Struct, frozen=True, kw_only=True):
    """Where to assign; null means every node but the management node."""

    nodes: Names | None
    slot: str = "server"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a certificate is assigned."""

    node: str
    slot: Slot


class CertificateAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A certificate; never its key. Texts only where one certificate was asked for."""

    id: int
    subject_name: str
    issuer_name: str
    serial_no: str
    fingerprint: str
    not_before_s: int
    not_after_s: int
    subject_alt_names: tuple[str, ...]
    status: str
    temporary: bool
    nodes: list[Place]
    certificate: str | None = None
    chain: str | None = None
    parameters: str | None = None
    created: bool | None = None


async def list_all(call: Call) -> web.StreamResponse:
    """Answer with all."""
    return reply({"certificates": [_answer(view) for view in await call.api.operations.certificates.list()]})


async def show(call: Call) -> web.StreamResponse:
    """Answer with one, and its texts."""
    view = await call.api.operations.certificates.show(call.number("id"))
    texts = {
        "certificate": view.record.text,
        "chain": view.record.chain_pem,
        "parameters": view.record.parameters_pem,
    }
    return reply(msgspec.structs.replace(_answer(view), **texts))


async def add(call: Call) -> web.StreamResponse:
    """Take an upload; 201 for a new entry, 200 for one that was updated in place."""
    body: NewCertificate = call.body
    operations = call.api.operations.certificates
    record, created = await operations.upload(
        certificate=body.certificate,
        private_key=body.private_key,
        passphrase=body.private_key_passphrase,
        parameters=body.parameters,
        nodes=body.nodes,
        slot=body.slot,
        actor=call.actor,
    )
    made = _answer(await operations.show(record.id))
    return reply(msgspec.structs.replace(made, created=created), status=201 if created else 200)


async def assign(call: Call) -> web.StreamResponse:
    """Assign one."""
    body: Assign = call.body
    nodes = await call.api.operations.certificates.assign(
        call.number("id"), nodes=body.nodes, slot=body.slot, actor=call.actor
    )
    return reply({"nodes": nodes})


async def delete(call: Call) -> web.StreamResponse:
    """Delete one; 409 if it is assigned and `force` is not given."""
    lost = await call.api.operations.certificates.delete(
        call.number("id"), force=call.flag("force"), actor=call.actor
    )
    return reply({"nodes": [_place(each) for each in lost]})


def _answer(view: CertificateView) -> CertificateAnswer:
    record = view.record
    return CertificateAnswer(
        id=record.id,
        subject_name=record.subject_name,
        issuer_name=record.issuer_name,
        serial_no=record.serial_no,
        fingerprint=record.fingerprint,
        not_before_s=record.not_before_s,
        not_after_s=record.not_after_s,
        subject_alt_names=record.subject_alt_names,
        status=view.status,
        temporary=record.temporary,
        nodes=[_place(each) for each in view.nodes],
    )


def _place(each: AssignmentRecord) -> Place:
    return Place(node=each.node, slot=each.slot)


ROUTES = (
    Route(
        method="GET", path="certificates", role=Role.READ_ONLY, handler=list_all, summary="List certificates"
    ),
    Route(
        method="POST",
        path="certificates",
        role=Role.ADMINISTRATOR,
        handler=add,
        body=NewCertificate,
        summary="Upload a certificate, and assign it",
    ),
    Route(
        method="GET",
        path="certificates/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a certificate",
    ),
    Route(
        method="DELETE",
        path="certificates/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Delete a certificate",
    ),
    Route(
        method="POST",
        path="certificates/{id}/assign",
        role=Role.ADMINISTRATOR,
        handler=assign,
        body=Assign,
        summary="Assign a certificate to nodes",
    ),
)
