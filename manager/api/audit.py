"""Audit log over HTTP: its pages, its signed head, and the verification of its chain."""

from typing import Final

from aiohttp import web

from common.api.audit import AuditAnswer, AuditRecord, HeadAnswer, VerificationAnswer
from common.api.codes import Fault, Role
from common.errors import StorageError
from manager.api.routes import Call, QueryParameter, Route, reply
from manager.domain import audit as domain

PAGE: Final = 100
PAGE_MAX: Final = 1000


async def show(call: Call) -> web.StreamResponse:
    """Return a page of acts."""
    limit, before = call.count("limit", PAGE), call.count("before") or None
    found = await call.api.use_cases.audit.page(domain.AuditSearch(), size=limit, before=before)
    entries = [_entry(each) for each in found.entries]
    return reply(AuditAnswer(entries=entries, next_before=found.next_before))


async def verify(call: Call) -> web.StreamResponse:
    """Verify the chain and return the result."""
    audit, query = call.api.use_cases.audit, call.request.query
    found = await audit.verify(noted=query.get("noted"), kept=query.get("head"))
    signed = None if found.fault is Fault.KEY else await audit.head()
    return reply(
        VerificationAnswer(
            broken_at=found.broken_at,
            fault=found.fault,
            count=found.count,
            head=found.head,
            noted=found.noted,
            kept=found.kept,
            signed_head=None if signed is None else signed.text,
        )
    )


async def head(call: Call) -> web.StreamResponse:
    """Return the signed end of the log."""
    signed = await call.api.use_cases.audit.head()
    if signed is None:
        raise StorageError("the end of the audit log is missing or was altered; verify the log")
    return reply(HeadAnswer(head=signed.text, count=signed.head.count, at_s=signed.at_s))


def _entry(record: domain.AuditRecord) -> AuditRecord:
    return AuditRecord(
        id=record.id,
        at_s=record.at_s,
        actor=record.actor,
        action=record.action,
        subject=record.subject,
        detail=record.detail,
        chain=record.chain,
    )


ROUTES = (
    Route(
        method="GET",
        path="audit",
        role=Role.ADMINISTRATOR,
        handler=show,
        summary="Show a page of the audit log",
        query=(
            QueryParameter("limit", int, f"how many; {PAGE} if left out", least=1, most=PAGE_MAX),
            QueryParameter(
                "before", int, "only acts with a lower id: `next_before` of the page before", least=1
            ),
        ),
        answers={200: AuditAnswer},
    ),
    Route(
        method="GET",
        path="audit/head",
        role=Role.ADMINISTRATOR,
        handler=head,
        summary="Show the signed head of the audit log, to be kept elsewhere",
        answers={200: HeadAnswer},
    ),
    Route(
        method="GET",
        path="audit/verify",
        role=Role.ADMINISTRATOR,
        handler=verify,
        heavy=True,
        summary="Verify the audit log's chain",
        query=(
            QueryParameter(
                "head", str, "a signed head that was kept; `kept` says whether the log still has it"
            ),
            QueryParameter(
                "noted", str, "a `head` that was noted earlier; `noted` says whether it is in the chain"
            ),
        ),
        answers={200: VerificationAnswer},
    ),
)
