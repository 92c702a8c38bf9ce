"""Slots of all nodes over HTTP, with their certificates.

Invariant: each certificate is judged once for all its nodes.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from typing import Final

from aiohttp import web

from common.api.certificates import CertificateAnswer, SlotAnswer, SlotsAnswer
from common.ids import CertificateId
from manager.api.answers import certificate_answer
from manager.api.routes import Call
from manager.http.pieces import guard_stream, send, stream_list
from manager.usecases.assignments import SlotList

SLOTS_AT_ONCE: Final = 20
"""How many slots a piece has: each repeats its certificate with all its nodes."""


async def by_node(call: Call) -> web.StreamResponse:
    """Return the slots of each node."""
    found = await call.api.use_cases.assignments.by_node()
    pieces = stream_list(SlotsAnswer(slots=[]), _slots(found))
    return await send(call.request, guard_stream(pieces, call.rights.check), turn=nullcontext)


async def _slots(found: SlotList) -> AsyncIterator[Sequence[SlotAnswer]]:
    answers: dict[CertificateId, CertificateAnswer] = {}
    for start in range(0, len(found.places), SLOTS_AT_ONCE):
        part = []
        for node, slot, each in await found.shown(start, start + SLOTS_AT_ONCE):
            if each is not None and each.entry.id not in answers:
                answers[each.entry.id] = certificate_answer(each)
            part.append(
                SlotAnswer(node=node, slot=slot, certificate=None if each is None else answers[each.entry.id])
            )
        yield part
