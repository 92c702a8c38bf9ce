"""Generations of a node over HTTP: history, differences, and republishing of older content."""

import msgspec
from aiohttp import web

from common.api.codes import Role
from common.api.generations import DifferenceAnswer, GenerationAnswer, GenerationsAnswer, RepublishedAnswer
from manager.api.facts import difference_answer
from manager.api.routes import CONFIRM, Call, QueryParameter, Route, reply
from manager.http.errors import consequence_answers
from manager.usecases.generations import Compared, ShownGeneration


async def history(call: Call) -> web.StreamResponse:
    """Return the generations published for a node."""
    found = await call.api.use_cases.generations.history(call.node())
    return reply(GenerationsAnswer(generations=[_answer(each) for each in found]))


async def difference(call: Call) -> web.StreamResponse:
    """Return the differences from another generation, by default the previous one."""
    name, number, before = call.node(), call.number("generation"), call.count("from") or None
    use_cases = call.api.use_cases.generations
    if before is None:
        return reply(_compared(name, await use_cases.compare(name, number)))
    found = await use_cases.assess(name, number, desired=before)
    answer = msgspec.structs.replace(
        _compared(name, found.compared),
        consequences=consequence_answers(found.impact.consequences),
        confirmation=found.impact.token,
    )
    return reply(answer)


async def republish(call: Call) -> web.StreamResponse:
    """Publish an older generation's content as a new one, and push it."""
    done, consequences = await call.api.use_cases.generations.republish(
        call.node(), call.number("generation"), confirm=call.confirm(), actor=call.actor
    )
    answer = RepublishedAnswer(
        node=done.node,
        action=done.action,
        why=done.why,
        generation=done.generation,
        consequences=consequence_answers(consequences),
    )
    return reply(answer, status=201)


def _compared(name: str, found: Compared) -> DifferenceAnswer:
    return DifferenceAnswer(
        node=name, before=found.before, after=found.after, difference=difference_answer(found.difference)
    )


def _answer(shown: ShownGeneration) -> GenerationAnswer:
    record, manifest = shown.record, shown.manifest
    return GenerationAnswer(
        epoch=record.epoch,
        generation=record.generation,
        digest=record.digest,
        created_at_s=record.created_s,
        cause=record.cause,
        slots={slot: facts.leaf for slot, facts in manifest.slots.items()},
        anchors=manifest.anchors,
        stands_in=record.superseded_digest is not None,
    )


ROUTES = (
    Route(
        method="GET",
        path="nodes/{name}/generations",
        role=Role.READ_ONLY,
        handler=history,
        summary="List the generations of a node",
        answers={200: GenerationsAnswer},
    ),
    Route(
        method="GET",
        path="nodes/{name}/generations/{generation}/difference",
        role=Role.READ_ONLY,
        handler=difference,
        summary="Show the differences between two generations of a node",
        query=(
            QueryParameter(
                "from", int, "the generation to compare with; the previous one if left out", least=1
            ),
        ),
        answers={200: DifferenceAnswer},
    ),
    Route(
        method="POST",
        path="nodes/{name}/generations/{generation}/republish",
        role=Role.ADMINISTRATOR,
        handler=republish,
        summary="Republish older content of a node; it stays until the node's assigned content changes",
        query=(CONFIRM,),
        answers={201: RepublishedAnswer},
    ),
)
