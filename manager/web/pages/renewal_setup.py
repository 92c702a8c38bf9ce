"""Guided set-up of a renewal: account, certificate, names and proof, test order, switching on.

Decides the next step. Invariant: no real certificate is ordered here before the user has switched the renewal
on.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from common.api.codes import KeyKind, Role
from common.errors import CertcastError, InvalidInputError
from common.ids import CertificateId, node_names, parse_id
from manager.domain.inventory import Entry, Inventory
from manager.domain.renewal.records import AccountId, ChallengeKind, RenewalId, Terms
from manager.domain.renewal.schedule import moment_of
from manager.web.account_rows import shown_accounts
from manager.web.choices import chosen_nodes, node_choices
from manager.web.forms import Form, FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import refusal_of
from manager.web.renewing import OrderView, Renewal, offered, renewals_of
from manager.web.words import NEW_KEYS

CHOICES_MAX: Final = 200
"""How many certificates are offered, by expiry; others start from their own pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """The form's values; `certificate_id` is None for a new certificate, `names` are one per line."""

    account_id: AccountId
    certificate_id: CertificateId | None
    names: str = ""
    challenge: str = ChallengeKind.HTTP
    key: str = KeyKind.ECDSAP256
    nodes: Sequence[str] = ()


async def choose_account(page_request: PageRequest) -> web.StreamResponse:
    """Ask for the account; without any, continue to adding one."""
    accounts = shown_accounts(await page_request.use_cases.accounts.list(), ())
    living = [each for each in accounts if each.is_living]
    usable = [each for each in living if each.record.url]
    return page_request.render(
        "renewal_setup_account.html",
        # accounts with a test directory first
        usable=sorted(usable, key=lambda each: not each.record.staging_url),
        unregistered=[each for each in living if not each.record.url],
        certificate=_certificate_id(page_request.query("certificate")),
    )


async def choose_certificate(page_request: PageRequest) -> web.StreamResponse:
    """Ask which certificate to renew, or whether to order a new one."""
    account = await page_request.use_cases.accounts.get(_account_id(page_request.query("account")))
    inventory = await page_request.use_cases.inventory()
    renewed = {each.certificate_id for each in await page_request.use_cases.renewals.records()}
    entries = [each for each in inventory.entries.values() if not each.temporary and each.id not in renewed]
    found = sorted(entries, key=_end)
    return page_request.render(
        "renewal_setup_certificate.html",
        account=account,
        certificates=found[:CHOICES_MAX],
        total=len(found),
    )


async def choose_terms(page_request: PageRequest) -> web.StreamResponse:
    """Ask for names, proof and key, beginning with those of the certificate and its nodes."""
    account_id = _account_id(page_request.query("account"))
    certificate_id = _certificate_id(page_request.query("certificate"))
    given = _Given(account_id=account_id, certificate_id=certificate_id)
    if certificate_id is not None:
        found = await page_request.use_cases.renewals.terms_for(
            certificate_id, account_id, ChallengeKind.HTTP
        )
        needs_dns = any(name.startswith("*.") for name in found.names)
        given = _Given(
            account_id=account_id,
            certificate_id=certificate_id,
            names="\n".join(found.names),
            challenge=ChallengeKind.DNS if needs_dns else ChallengeKind.HTTP,
            key=found.key,
        )
    return await _terms_form(page_request, given)


async def set_up(page_request: PageRequest) -> web.StreamResponse:
    """Save it as paused, and try it at once if the account's CA has a test directory."""
    given, actor = _given(page_request.form), page_request.actor
    renewals = page_request.use_cases.renewals
    try:
        terms = _terms(given)
        if given.certificate_id is not None:
            made = await renewals.switch_on(given.certificate_id, terms, paused=True, actor=actor)
        elif not given.nodes:
            raise InvalidInputError("node", "choose at least one node to receive the certificate")
        else:
            nodes = node_names(given.nodes)
            confirm = page_request.form.text("confirm")
            made = await renewals.order_new(
                terms, nodes=nodes, slot="server", paused=True, confirm=confirm, actor=actor
            )
    except CertcastError as error:
        return await _terms_form(page_request, given, error)
    with contextlib.suppress(CertcastError):
        # the next page says that it is untested, and has a button for a test
        await renewals.test(made.id, actor=actor)
    return page_request.redirect(f"/renewals/{made.id}/set-up")


async def trial(page_request: PageRequest) -> web.StreamResponse:
    """Show the progress of the test order; an active renewal or one by request has only its own page."""
    renewal = await _renewal(page_request)
    if not renewal.record.is_paused or renewal.record.terms is None:
        return page_request.redirect(f"/renewals/{renewal.record.id}")
    return _trial(page_request, renewal)


async def try_out(page_request: PageRequest) -> web.StreamResponse:
    """Begin another test order."""
    try:
        await page_request.use_cases.renewals.test(_number(page_request), actor=page_request.actor)
    except CertcastError as error:
        return _trial(page_request, await _renewal(page_request), error)
    return page_request.redirect(f"/renewals/{_number(page_request)}/set-up")


async def switch_on(page_request: PageRequest) -> web.StreamResponse:
    """Switch on: order from now on, at once if due."""
    number = _number(page_request)
    await page_request.use_cases.renewals.set_paused(number, paused=False, actor=page_request.actor)
    return page_request.redirect(
        f"/renewals/{number}", "Switched on: it is renewed automatically from now on."
    )


def _number(page_request: PageRequest) -> RenewalId:
    return RenewalId(page_request.number())


def _account_id(text: str) -> AccountId:
    return AccountId(parse_id(text, field="account", what="an account's number"))


def _certificate_id(text: str) -> CertificateId | None:
    return CertificateId(parse_id(text, field="certificate", what="a certificate's id")) if text else None


def _end(entry: Entry) -> float:
    return float("inf") if entry.leaf.not_after_s is None else entry.leaf.not_after_s


def _given(form: Form) -> _Given:
    return _Given(
        account_id=_account_id(form.text("account")),
        certificate_id=_certificate_id(form.text("certificate")),
        names=form.text("names"),
        challenge=form.text("challenge"),
        key=form.text("key"),
        nodes=chosen_nodes(form),
    )


def _terms(given: _Given) -> Terms:
    """Return the terms of an order. Raises InvalidInputError."""
    if given.challenge not in set(ChallengeKind):
        raise InvalidInputError("challenge", "choose how the names are proven")
    if given.key not in set(KeyKind):
        raise InvalidInputError("key", "choose which key is made")
    return Terms(
        account_id=given.account_id,
        challenge=ChallengeKind(given.challenge),
        key=KeyKind(given.key),
        names=tuple(given.names.replace(",", " ").split()),
    )


async def _terms_form(
    page_request: PageRequest, given: _Given, error: CertcastError | None = None
) -> web.Response:
    inventory: Inventory = await page_request.use_cases.inventory()
    number = given.certificate_id
    return page_request.render_form(
        "renewal_setup_terms.html",
        refusal_of(error),
        account=await page_request.use_cases.accounts.get(given.account_id),
        certificate=None if number is None else inventory.entries.get(number),
        given=given,
        challenges=offered(page_request.use_cases.renewals.challenges, given.challenge),
        keys=NEW_KEYS,
        choices=node_choices(inventory, given.nodes),
    )


async def _renewal(page_request: PageRequest) -> Renewal:
    shown = await page_request.use_cases.renewals.show(_number(page_request))
    accounts = {each.id: each for each in await page_request.use_cases.accounts.list()}
    (found,) = renewals_of([shown], accounts)
    return found


def _trial(page_request: PageRequest, renewal: Renewal, error: CertcastError | None = None) -> web.Response:
    return page_request.render_form(
        "renewal_setup_trial.html",
        refusal_of(error),
        renewal=renewal,
        tried=_tried(renewal),
        due_s=moment_of(renewal.record, renewal.shown.entry),
    )


def _tried(renewal: Renewal) -> OrderView | None:
    """Return the latest test order with the current terms, None if there is none."""
    return next(
        (
            each
            for each in renewal.attempts
            if each.order.is_test and each.order.terms == renewal.record.terms
        ),
        None,
    )


_TERMS: Final = FormFields(
    once=("account", "certificate", "names", "challenge", "key", "node_names", "confirm"), several=("node",)
)
_ADMINISTRATORS: Final = (
    ("GET", "/renewals/set-up", choose_account),
    ("GET", "/renewals/set-up/certificate", choose_certificate),
    ("GET", "/renewals/set-up/terms", choose_terms),
    ("GET", r"/renewals/{id:\d+}/set-up", trial),
    ("POST", r"/renewals/{id:\d+}/set-up", switch_on),
)

PAGES = (
    *(
        Page(method=method, path=path, role=Role.ADMINISTRATOR, handler=handler)
        for method, path, handler in _ADMINISTRATORS
    ),
    Page(
        method="POST",
        path="/renewals/set-up/terms",
        role=Role.ADMINISTRATOR,
        handler=set_up,
        fields=_TERMS,
        heavy=True,
    ),
    Page(
        method="POST",
        path=r"/renewals/{id:\d+}/set-up/test",
        role=Role.ADMINISTRATOR,
        handler=try_out,
        heavy=True,
    ),
)
