"""CA account pages: the list, an account and its renewals, adding, registering, contacts, key, and its end.

Invariant: the key of a binding is read from a form and never shown again, not even in a refused form.
"""

from dataclasses import dataclass
from typing import Final

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, InvalidInputError
from common.explained.cas import KNOWN_CAS
from manager.domain.renewal.account_fields import AccountChanges, AccountFields
from manager.domain.renewal.records import AccountId
from manager.usecases.renewal.ports import CaError, Directory
from manager.web.account_rows import ShownAccount, shown_account, shown_accounts
from manager.web.forms import FormFields, pem
from manager.web.pagerequest import Page, PageRequest
from manager.web.refusal import refusal_of

OTHER: Final = "other"
"""Stands for a CA known only by the address of its directory."""

_FIRST: Final = next(iter(KNOWN_CAS))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """The form's values, without the binding's key.

    `ca` is a known CA or OTHER, `contact` one address per line.

    `for_renewal`: setting up a renewal (`manager.web.pages.renewal_setup`) continues afterwards.
    """

    ca: str = _FIRST
    name: str = ""
    contact: str = ""
    directory_url: str = ""
    staging_url: str = ""
    trusted_cas: str = ""
    binding_id: str = ""
    for_renewal: bool = False


async def list_all(page_request: PageRequest) -> web.StreamResponse:
    """Show all accounts, usable ones first."""
    accounts = await page_request.use_cases.accounts.list()
    renewals = await page_request.use_cases.renewals.list()
    return page_request.render("ca_accounts.html", accounts=shown_accounts(accounts, renewals))


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show an account and its renewals."""
    return await _show(page_request)


async def new_form(page_request: PageRequest) -> web.StreamResponse:
    """Ask for the CA, and the contacts of the owner."""
    return _new_form(page_request, _Given(for_renewal=bool(page_request.query("renewal"))))


async def add(page_request: PageRequest) -> web.StreamResponse:
    """Create an account with a new key; registering it comes next."""
    form = page_request.form
    given = _Given(
        ca=form.text("ca"),
        name=form.text("name"),
        contact=form.text("contact"),
        directory_url=form.text("directory_url").strip(),
        staging_url=form.text("staging_url").strip(),
        trusted_cas=await page_request.shown_text(form.text("trusted_cas")),
        binding_id=form.text("binding_id").strip(),
        for_renewal=form.flag("renewal"),
    )
    try:
        directory_url, staging_url = _directories(given)
        fields = AccountFields(
            name=given.name,
            directory_url=directory_url,
            staging_url=staging_url,
            trusted_cas=await page_request.given_text("trusted_cas"),
            contact=form.lines("contact"),
            binding_id=given.binding_id,
            binding_key=form.text("binding_key").strip(),
        )
        made = await page_request.use_cases.accounts.add(fields, actor=page_request.actor)
    except CertcastError as error:
        return _new_form(page_request, given, error)
    where = f"/ca-accounts/{made.id}/offers{'?renewal=1' if given.for_renewal else ''}"
    return page_request.redirect(where, f"The account {made.name} was added.")


async def offers(page_request: PageRequest) -> web.StreamResponse:
    """Show the CA's offers, and ask for consent to its terms if the account is not registered."""
    return await _offers(page_request)


async def register(page_request: PageRequest) -> web.StreamResponse:
    """Register the account at its CA, or find it there by its key."""
    try:
        made = await page_request.use_cases.accounts.register(
            number_of(page_request), agrees=page_request.form.flag("terms_agreed"), actor=page_request.actor
        )
    except CertcastError as error:
        return await _offers(page_request, error)
    message = f"{made.name} is registered: certificates can be ordered with it."
    if page_request.form.flag("renewal"):
        return page_request.redirect(f"/renewals/set-up/certificate?account={made.id}", message)
    return _back(page_request, message)


async def edit_contact(page_request: PageRequest) -> web.StreamResponse:
    """Change the contacts, at the CA too."""
    try:
        await page_request.use_cases.accounts.edit(
            number_of(page_request),
            AccountChanges(contact=page_request.form.lines("contact")),
            actor=page_request.actor,
        )
    except CertcastError as error:
        return await _show(page_request, error)
    return _back(page_request, "The contacts were changed, at the CA too if the account is registered.")


async def change_key(page_request: PageRequest) -> web.StreamResponse:
    """Replace its key, here and at its CA."""
    try:
        await page_request.use_cases.accounts.change_key(number_of(page_request), actor=page_request.actor)
    except CertcastError as error:
        return await _show(page_request, error)
    return _back(page_request, "The account has a new key; the former one is no longer valid.")


async def deactivate_form(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of deactivating an account, and ask."""
    return await _deactivate_form(page_request)


async def deactivate(page_request: PageRequest) -> web.StreamResponse:
    """Deactivate the account at its CA permanently."""
    try:
        await page_request.use_cases.accounts.deactivate(number_of(page_request), actor=page_request.actor)
    except CertcastError as error:
        return await _deactivate_form(page_request, error)
    return _back(page_request, "The account is deactivated: it can no longer order certificates.")


async def delete_form(page_request: PageRequest) -> web.StreamResponse:
    """Show what is lost with an account, and ask."""
    return await _delete_form(page_request)


async def delete(page_request: PageRequest) -> web.StreamResponse:
    """Forget the account and its key; refused while a renewal uses it."""
    name = (await page_request.use_cases.accounts.get(number_of(page_request))).name
    try:
        await page_request.use_cases.accounts.delete(number_of(page_request), actor=page_request.actor)
    except CertcastError as error:
        return await _delete_form(page_request, error)
    return page_request.redirect("/ca-accounts", f"The account {name} is deleted.")


def _directories(given: _Given) -> tuple[str, str]:
    """Return the directories for orders and for test orders. Raises InvalidInputError."""
    known = KNOWN_CAS.get(given.ca)
    if known is None:
        return given.directory_url, given.staging_url
    if given.directory_url:
        raise InvalidInputError(
            "directory_url",
            f"choose another CA than {known.title}, or leave the address of its directory empty",
        )
    return known.directory_url, given.staging_url or known.staging_url


def number_of(page_request: PageRequest) -> AccountId:
    """Return the account in the path."""
    return AccountId(page_request.number())


def _back(page_request: PageRequest, message: str) -> web.Response:
    return page_request.redirect(f"/ca-accounts/{number_of(page_request)}", message)


async def _account(page_request: PageRequest) -> ShownAccount:
    record = await page_request.use_cases.accounts.get(number_of(page_request))
    return shown_account(record, await page_request.use_cases.renewals.list())


async def _show(page_request: PageRequest, error: CertcastError | None = None) -> web.Response:
    """Show an account; after a refusal with the refused values."""
    account = await _account(page_request)
    contact = "\n".join(account.contact) if error is None else page_request.form.text("contact")
    return page_request.render_form("ca_account.html", refusal_of(error), account=account, contact=contact)


def _new_form(page_request: PageRequest, given: _Given, error: CertcastError | None = None) -> web.Response:
    return page_request.render_form(
        "ca_account_new.html",
        refusal_of(error),
        given=given,
        cas=KNOWN_CAS,
        other=OTHER,
        is_key_lost=bool(page_request.form.text("binding_key")),
    )


async def _offers(page_request: PageRequest, error: CertcastError | None = None) -> web.Response:
    """Show the CA's offers, None if it is unreachable."""
    offered: Directory | None = None
    try:
        offered = await page_request.use_cases.accounts.directory(number_of(page_request))
    except CaError as failure:
        error = error or failure
    return page_request.render_form(
        "ca_account_offers.html",
        refusal_of(error),
        account=await _account(page_request),
        offered=offered,
        agreed=page_request.form.flag("terms_agreed"),
        for_renewal=bool(page_request.query("renewal")) or page_request.form.flag("renewal"),
    )


async def _deactivate_form(page_request: PageRequest, error: CertcastError | None = None) -> web.Response:
    account = await _account(page_request)
    return page_request.render_form("ca_account_deactivate.html", refusal_of(error), account=account)


async def _delete_form(page_request: PageRequest, error: CertcastError | None = None) -> web.Response:
    account = await _account(page_request)
    return page_request.render_form("ca_account_delete.html", refusal_of(error), account=account)


ACCOUNT_FIELDS: Final = FormFields(
    once=(
        "name",
        "directory_url",
        "staging_url",
        *pem("trusted_cas"),
        "binding_id",
        "binding_key",
        "renewal",
    )
)
"""The fields of an account being added or corrected."""

_ADMINISTRATORS: Final = (
    ("GET", "new", new_form, ()),
    ("GET", r"{id:\d+}/offers", offers, ()),
    ("POST", r"{id:\d+}/register", register, ("terms_agreed", "renewal")),
    ("POST", r"{id:\d+}/contact", edit_contact, ("contact",)),
    ("POST", r"{id:\d+}/change-key", change_key, ()),
    ("GET", r"{id:\d+}/deactivate", deactivate_form, ()),
    ("POST", r"{id:\d+}/deactivate", deactivate, ()),
    ("GET", r"{id:\d+}/delete", delete_form, ()),
    ("POST", r"{id:\d+}/delete", delete, ()),
)

PAGES = (
    Page(method="GET", path="/ca-accounts", role=Role.READ_ONLY, handler=list_all),
    Page(method="GET", path=r"/ca-accounts/{id:\d+}", role=Role.READ_ONLY, handler=show),
    Page(
        method="POST",
        path="/ca-accounts/new",
        role=Role.ADMINISTRATOR,
        handler=add,
        fields=ACCOUNT_FIELDS.and_once("ca", "contact"),
        heavy=True,
    ),
    *(
        Page(
            method=method,
            path=f"/ca-accounts/{rest}",
            role=Role.ADMINISTRATOR,
            handler=handler,
            fields=FormFields(once=fields),
        )
        for method, rest, handler, fields in _ADMINISTRATORS
    ),
)
