"""Renewals over HTTP."""

from collections.abc import Mapping

from aiohttp import web

from common.api.codes import Role
from common.api.renewals import (
    NewRenewal,
    OrderAnswer,
    RenewalAnswer,
    RenewalEdit,
    RenewalFields,
    RenewalsAnswer,
    RenewalTerms,
)
from common.codes import KeyKind
from common.errors import InvalidInputError
from common.ids import CertificateId, node_names
from manager.api.renewal_answers import order_answer, renewal_answer
from manager.api.routes import Call, Route, empty, reply
from manager.domain.renewal.records import AccountId, AccountRecord, ChallengeKind, RenewalId, Terms
from manager.usecases.renewal.shown import ShownRenewal


async def list_all(call: Call) -> web.StreamResponse:
    """Return all renewals, each with its state."""
    found, accounts = await call.api.use_cases.renewals.list(), await _accounts(call)
    return reply(RenewalsAnswer(renewals=[renewal_answer(each, accounts) for each in found]))


async def show(call: Call) -> web.StreamResponse:
    """Return one renewal, and its latest orders step by step."""
    return await _reply(call, await call.api.use_cases.renewals.show(_number(call)))


async def fields(call: Call) -> web.StreamResponse:
    """Return the names and the kind of key with which a certificate would be renewed."""
    number = CertificateId(call.number("id"))
    # these depend on neither the account nor the challenge
    found = await call.api.use_cases.renewals.terms_for(number, AccountId(0), ChallengeKind.HTTP)
    return reply(RenewalFields(names=found.names, key=found.key))


async def add(call: Call) -> web.StreamResponse:
    """Set up a renewal; an order begins once it is due, or at once for a new certificate."""
    body: NewRenewal = call.body
    if body.certificate is None:
        made = await _order_new(call, body)
    elif body.nodes:
        raise InvalidInputError(
            "nodes", "a renewed certificate goes to its predecessor's nodes; leave 'nodes' out"
        )
    else:
        number = CertificateId(body.certificate)
        made = await call.api.use_cases.renewals.switch_on(
            number,
            await _terms(call, body, number),
            paused=body.paused,
            send_to=body.send_to,
            actor=call.actor,
        )
    return await _reply(call, made, status=201)


async def change(call: Call) -> web.StreamResponse:
    """Replace the terms as a whole; 409 if they are no longer those the caller saw."""
    body: RenewalEdit = call.body
    use_cases, number = call.api.use_cases.renewals, _number(call)
    known = (await use_cases.show(number)).renewal
    terms = await _terms(call, body, known.certificate_id)
    kept = await use_cases.change(
        number, terms, send_to=body.send_to, seen=body.seen or None, actor=call.actor
    )
    return await _reply(call, kept)


async def pause(call: Call) -> web.StreamResponse:
    """Order nothing until it is resumed; a certificate already requested is still collected."""
    kept = await call.api.use_cases.renewals.set_paused(_number(call), paused=True, actor=call.actor)
    return await _reply(call, kept)


async def resume(call: Call) -> web.StreamResponse:
    """Resume the renewal, at once if it is due."""
    kept = await call.api.use_cases.renewals.set_paused(_number(call), paused=False, actor=call.actor)
    return await _reply(call, kept)


async def order(call: Call) -> web.StreamResponse:
    """Begin an order early, or continue one that rests after a failure; 409 while one is under way."""
    begun = await call.api.use_cases.renewals.order_now(_number(call), actor=call.actor)
    return reply(order_answer(begun), status=201)


async def try_out(call: Call) -> web.StreamResponse:
    """Begin an order at the account's test directory; its certificate is not kept."""
    begun = await call.api.use_cases.renewals.test(_number(call), actor=call.actor)
    return reply(order_answer(begun), status=201)


async def delete(call: Call) -> web.StreamResponse:
    """Stop renewing; the certificate stays where it is."""
    await call.api.use_cases.renewals.remove(_number(call), actor=call.actor)
    return empty()


def _number(call: Call) -> RenewalId:
    return RenewalId(call.number("id"))


async def _reply(call: Call, shown: ShownRenewal, *, status: int = 200) -> web.Response:
    return reply(renewal_answer(shown, await _accounts(call)), status=status)


async def _accounts(call: Call) -> Mapping[AccountId, AccountRecord]:
    """Return all accounts by number."""
    return {each.id: each for each in await call.api.use_cases.accounts.list()}


async def _order_new(call: Call, body: NewRenewal) -> ShownRenewal:
    terms = await _terms(call, body, None)
    if terms is None:
        raise InvalidInputError("account", "a new certificate is ordered at an account; give the account")
    return await call.api.use_cases.renewals.order_new(
        terms,
        nodes=node_names(body.nodes),
        slot=body.slot,
        paused=body.paused,
        confirm=body.confirm,
        actor=call.actor,
    )


async def _terms(call: Call, body: RenewalTerms, number: CertificateId | None) -> Terms | None:
    """Return the terms of an order, None for a renewal by request.

    Raises InvalidInputError for a field without effect, NotFoundError.
    """
    if body.account is None:
        ordered = (body.profile, body.preferred_chain, body.key, body.keeps_key, body.names)
        if any(ordered):
            raise InvalidInputError("account", "an order needs an account; give the account")
        return None
    if body.send_to:
        raise InvalidInputError("send_to", "only a renewal by request has 'send_to'; leave it out")
    account, challenge, key = AccountId(body.account), ChallengeKind(body.challenge), body.key
    if key is None and number is not None:
        key = (await call.api.use_cases.renewals.terms_for(number, account, challenge)).key
    return Terms(
        account_id=account,
        challenge=challenge,
        profile=body.profile,
        preferred_chain=body.preferred_chain,
        key=key or KeyKind.ECDSAP256,
        keeps_key=body.keeps_key,
        names=tuple(body.names),
    )


ROUTES = (
    Route(
        method="GET",
        path="renewals",
        role=Role.READ_ONLY,
        handler=list_all,
        summary="List renewals",
        answers={200: RenewalsAnswer},
    ),
    Route(
        method="POST",
        path="renewals",
        role=Role.ADMINISTRATOR,
        handler=add,
        body=NewRenewal,
        summary="Set up the renewal of a certificate, or order a new one",
        answers={201: RenewalAnswer},
    ),
    Route(
        method="GET",
        path="renewals/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show a renewal",
        answers={200: RenewalAnswer},
    ),
    Route(
        method="PUT",
        path="renewals/{id}",
        role=Role.ADMINISTRATOR,
        handler=change,
        body=RenewalEdit,
        summary="Change the terms of a renewal",
        answers={200: RenewalAnswer},
    ),
    Route(
        method="DELETE",
        path="renewals/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Stop renewing a certificate",
        answers={204: None},
    ),
    Route(
        method="POST",
        path="renewals/{id}/pause",
        role=Role.ADMINISTRATOR,
        handler=pause,
        summary="Pause a renewal",
        answers={200: RenewalAnswer},
    ),
    Route(
        method="POST",
        path="renewals/{id}/resume",
        role=Role.ADMINISTRATOR,
        handler=resume,
        summary="Resume a renewal",
        answers={200: RenewalAnswer},
    ),
    Route(
        method="POST",
        path="renewals/{id}/order",
        role=Role.OPERATOR,
        handler=order,
        heavy=True,
        summary="Renew a certificate now",
        answers={201: OrderAnswer},
    ),
    Route(
        method="POST",
        path="renewals/{id}/test",
        role=Role.OPERATOR,
        handler=try_out,
        heavy=True,
        summary="Try a renewal at the account's test directory",
        answers={201: OrderAnswer},
    ),
    Route(
        method="GET",
        path="certificates/{id}/renewal-fields",
        role=Role.READ_ONLY,
        handler=fields,
        summary="Show the terms a renewal would begin with",
        answers={200: RenewalFields},
    ),
)
