"""Renewal pages: the list, one with its attempts, renewing or testing now, pausing, editing, switching off."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from common.api.codes import KeyKind, Role
from common.errors import CertcastError, ChangedMeanwhileError, InvalidInputError
from common.ids import CertificateId, parse_id
from manager.domain.etag import etag_of_renewal
from manager.domain.listing import page_of
from manager.domain.renewal.records import AccountId, AccountRecord, ChallengeKind, RenewalId, Terms
from manager.usecases.renewal.shown import ShownRenewal
from manager.web.forms import Form, FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import refusal_of
from manager.web.renewing import STATES, Renewal, offered, renewals_of
from manager.web.words import NEW_KEYS

SIZE: Final = 100
BY_REQUEST: Final = "request"
"""Stands for an account if nothing is ordered but a request is sent to the CA."""

KEPT: Final = "KEPT"
"""Stands for a kind of key if the certificate keeps its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """The form's values: `means` is an account's number or BY_REQUEST, `key` a kind or KEPT.

    `names` are one per line.
    """

    means: str
    challenge: str
    names: str
    key: str
    profile: str
    preferred_chain: str
    send_to: str


async def list_all(page_request: PageRequest) -> web.StreamResponse:
    """Show a page of the list: failures first, then by next moment."""
    search, state, number = (
        page_request.query("search").strip(),
        page_request.query("state"),
        page_request.page(),
    )
    shown, accounts = await page_request.use_cases.renewals.list(), await _accounts(page_request)
    # off the loop, because there may be thousands
    found = await asyncio.to_thread(renewals_of, shown, accounts, search=search, state=state)
    return page_request.render(
        "renewals.html",
        renewals=page_of(found, number, size=SIZE).entries,
        total=len(found),
        search=search,
        state=state,
        states=STATES,
        number=number,
        size=SIZE,
    )


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show a renewal, with its attempts step by step."""
    return await _show(page_request)


async def order(page_request: PageRequest) -> web.StreamResponse:
    """Renew early."""
    try:
        await page_request.use_cases.renewals.order_now(_number(page_request), actor=page_request.actor)
    except CertcastError as error:
        return await _show(page_request, error)
    return _back(page_request, "An order has begun. Each step is shown here as it happens.")


async def try_out(page_request: PageRequest) -> web.StreamResponse:
    """Order at the account's test directory."""
    try:
        await page_request.use_cases.renewals.test(_number(page_request), actor=page_request.actor)
    except CertcastError as error:
        return await _show(page_request, error)
    return _back(
        page_request,
        "A test order has begun. Each step is shown here as it happens; its certificate is not kept.",
    )


async def pause(page_request: PageRequest) -> web.StreamResponse:
    await _pause(page_request, paused=True)
    return _back(page_request, "Paused: nothing is ordered until it is resumed.")


async def resume(page_request: PageRequest) -> web.StreamResponse:
    """Resume, even after a failure: at once if due."""
    await _pause(page_request, paused=False)
    return _back(page_request, "Resumed: a due or failed order begins now, unless its CA asked to wait.")


async def edit_form(page_request: PageRequest) -> web.StreamResponse:
    """Show the terms; `set-up` returns to the guided set-up afterwards."""
    shown = await page_request.use_cases.renewals.show(_number(page_request))
    return await _edit_form(page_request, shown, _given_by(shown), seen=etag_of_renewal(shown.renewal))


async def edit(page_request: PageRequest) -> web.StreamResponse:
    """Renew with other terms from now on."""
    renewals, number = page_request.use_cases.renewals, _number(page_request)
    given, seen = _given(page_request.form), page_request.form.text("seen")
    shown = await renewals.show(number)
    try:
        await renewals.change(
            number,
            _terms(shown, given),
            send_to=given.send_to if given.means == BY_REQUEST else "",
            seen=seen,
            actor=page_request.actor,
        )
    except ChangedMeanwhileError as error:
        # a user who saves again has seen it
        shown = await renewals.show(number)
        return await _edit_form(page_request, shown, given, error, seen=etag_of_renewal(shown.renewal))
    except CertcastError as error:
        return await _edit_form(page_request, shown, given, error, seen=seen)
    if page_request.form.flag("set_up"):
        return page_request.redirect(f"/renewals/{number}/set-up", "Saved. Try it with these terms.")
    return _back(page_request, "Saved. Renewals use these terms from now on.")


async def remove_form(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of switching it off, and ask."""
    return page_request.render("renewal_remove.html", renewal=await _renewal(page_request))


async def remove(page_request: PageRequest) -> web.StreamResponse:
    """Stop renewing."""
    number = _number(page_request)
    certificate_id = (await page_request.use_cases.renewals.show(number)).renewal.certificate_id
    await page_request.use_cases.renewals.remove(number, actor=page_request.actor)
    where = "/renewals" if certificate_id is None else f"/certificates/{certificate_id}"
    return page_request.redirect(where, "The renewal is switched off.")


async def renewal_of(page_request: PageRequest, certificate_id: CertificateId) -> Renewal | None:
    """Return a certificate's renewal, None for none."""
    shown = await page_request.use_cases.renewals.of_certificate(certificate_id)
    return None if shown is None else await _with_account(page_request, shown)


async def _renewal(page_request: PageRequest) -> Renewal:
    shown = await page_request.use_cases.renewals.show(_number(page_request))
    return await _with_account(page_request, shown)


async def _with_account(page_request: PageRequest, shown: ShownRenewal) -> Renewal:
    (found,) = renewals_of([shown], await _accounts(page_request))
    return found


async def _accounts(page_request: PageRequest) -> Mapping[AccountId, AccountRecord]:
    return {each.id: each for each in await page_request.use_cases.accounts.list()}


async def _show(page_request: PageRequest, error: CertcastError | None = None) -> web.Response:
    """Show a renewal; after a refusal with the refused values."""
    return page_request.render_form(
        "renewal.html",
        refusal_of(error),
        renewal=await _renewal(page_request),
    )


def _number(page_request: PageRequest) -> RenewalId:
    return RenewalId(page_request.number())


def _back(page_request: PageRequest, message: str) -> web.Response:
    return page_request.redirect(f"/renewals/{_number(page_request)}", message)


async def _pause(page_request: PageRequest, *, paused: bool) -> None:
    await page_request.use_cases.renewals.set_paused(
        _number(page_request), paused=paused, actor=page_request.actor
    )


def _given_by(shown: ShownRenewal) -> _Given:
    """Return the form values of a stored renewal."""
    terms, send_to = shown.renewal.terms, shown.renewal.send_to
    if terms is None:
        return _Given(
            means=BY_REQUEST,
            challenge=ChallengeKind.HTTP,
            names="",
            key=KeyKind.ECDSAP256,
            profile="",
            preferred_chain="",
            send_to=send_to,
        )
    return _Given(
        means=str(terms.account_id),
        challenge=terms.challenge,
        names="\n".join(terms.names),
        key=KEPT if terms.keeps_key else terms.key,
        profile=terms.profile,
        preferred_chain=terms.preferred_chain,
        send_to=send_to,
    )


def _given(form: Form) -> _Given:
    return _Given(
        means=form.text("means"),
        challenge=form.text("challenge"),
        names=form.text("names"),
        key=form.text("key"),
        profile=form.text("profile"),
        preferred_chain=form.text("preferred_chain"),
        send_to=form.text("send_to"),
    )


def _terms(shown: ShownRenewal, given: _Given) -> Terms | None:
    """Return the terms of an order, or None for a renewal by request, which ignores the form's other fields.

    Raises InvalidInputError.
    """
    if given.means == BY_REQUEST:
        return None
    known = shown.renewal.terms
    try:
        challenge = ChallengeKind(given.challenge)
        # the kind matters again when the key is no longer kept
        kept = KeyKind.ECDSAP256 if known is None else known.key
        key = kept if given.key == KEPT else KeyKind(given.key)
    except ValueError as error:
        raise InvalidInputError("challenge", "choose a challenge and a key") from error
    return Terms(
        account_id=AccountId(parse_id(given.means, field="means", what="an account's number")),
        challenge=challenge,
        profile=given.profile,
        preferred_chain=given.preferred_chain,
        key=key,
        keeps_key=given.key == KEPT,
        names=tuple(given.names.replace(",", " ").split()),
    )


async def _edit_form(
    page_request: PageRequest,
    shown: ShownRenewal,
    given: _Given,
    error: CertcastError | None = None,
    *,
    seen: str,
) -> web.Response:
    accounts = await _accounts(page_request)
    (renewal,) = renewals_of([shown], accounts)
    return page_request.render_form(
        "renewal_edit.html",
        refusal_of(error),
        renewal=renewal,
        given=given,
        seen=seen,
        for_set_up=bool(page_request.query("set-up")) or page_request.form.flag("set_up"),
        accounts=[
            each for each in accounts.values() if not each.is_deactivated or str(each.id) == given.means
        ],
        challenges=offered(page_request.use_cases.renewals.challenges, given.challenge),
        keys=NEW_KEYS,
    )


PAGES = (
    Page(method="GET", path="/renewals", role=Role.READ_ONLY, handler=list_all),
    Page(method="GET", path=r"/renewals/{id:\d+}", role=Role.READ_ONLY, handler=show),
    Page(
        method="POST",
        path=r"/renewals/{id:\d+}/order",
        role=Role.OPERATOR,
        handler=order,
        heavy=True,
    ),
    Page(
        method="POST",
        path=r"/renewals/{id:\d+}/test",
        role=Role.OPERATOR,
        handler=try_out,
        heavy=True,
    ),
    Page(method="POST", path=r"/renewals/{id:\d+}/pause", role=Role.ADMINISTRATOR, handler=pause),
    Page(method="POST", path=r"/renewals/{id:\d+}/resume", role=Role.ADMINISTRATOR, handler=resume),
    Page(method="GET", path=r"/renewals/{id:\d+}/edit", role=Role.ADMINISTRATOR, handler=edit_form),
    Page(
        method="POST",
        path=r"/renewals/{id:\d+}/edit",
        role=Role.ADMINISTRATOR,
        handler=edit,
        fields=FormFields(
            once=(
                "means",
                "challenge",
                "names",
                "key",
                "profile",
                "preferred_chain",
                "send_to",
                "seen",
                "set_up",
            )
        ),
    ),
    Page(method="GET", path=r"/renewals/{id:\d+}/remove", role=Role.ADMINISTRATOR, handler=remove_form),
    Page(method="POST", path=r"/renewals/{id:\d+}/remove", role=Role.ADMINISTRATOR, handler=remove),
)
