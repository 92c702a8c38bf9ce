"""Accounts at CAs over HTTP."""

from aiohttp import web
from msgspec.structs import asdict

from common.api.accounts import (
    AccountAnswer,
    AccountEdit,
    AccountsAnswer,
    DirectoryAnswer,
    NewAccount,
    Registration,
)
from common.api.codes import Role
from manager.api.routes import Call, Route, empty, reply
from manager.domain.renewal.account_fields import AccountChanges, AccountFields
from manager.domain.renewal.records import AccountId, AccountRecord


async def list_all(call: Call) -> web.StreamResponse:
    """Return all accounts at CAs."""
    found = await call.api.use_cases.accounts.list()
    return reply(AccountsAnswer(accounts=[_answer(each) for each in found]))


async def show(call: Call) -> web.StreamResponse:
    """Return one account at a CA."""
    return reply(_answer(await call.api.use_cases.accounts.get(_number(call))))


async def directory(call: Call) -> web.StreamResponse:
    """Ask the CA, and return what it offers."""
    found = await call.api.use_cases.accounts.directory(_number(call))
    return reply(
        DirectoryAnswer(
            terms_url=found.terms_url,
            website=found.website,
            profiles=found.profiles,
            needs_binding=found.needs_binding,
            has_renewal_info=found.has_renewal_info,
        )
    )


async def add(call: Call) -> web.StreamResponse:
    """Create an account with a new key; its CA is not asked yet."""
    body: NewAccount = call.body
    fields = AccountFields(**asdict(body))
    return reply(_answer(await call.api.use_cases.accounts.add(fields, actor=call.actor)), status=201)


async def register(call: Call) -> web.StreamResponse:
    """Register the account at its CA, or find it there."""
    body: Registration = call.body
    kept = await call.api.use_cases.accounts.register(
        _number(call), agrees=body.terms_agreed, actor=call.actor
    )
    return reply(_answer(kept))


async def edit(call: Call) -> web.StreamResponse:
    """Change the given fields, at the CA too; it fixes directory and binding once it knows the account (400)."""
    body: AccountEdit = call.body
    changes = AccountChanges(**asdict(body))
    return reply(_answer(await call.api.use_cases.accounts.edit(_number(call), changes, actor=call.actor)))


async def change_key(call: Call) -> web.StreamResponse:
    """Replace the account's key, at its CA too; the former key is then forgotten."""
    return reply(_answer(await call.api.use_cases.accounts.change_key(_number(call), actor=call.actor)))


async def deactivate(call: Call) -> web.StreamResponse:
    """Deactivate the account at its CA; nothing is ordered with it from then on."""
    return reply(_answer(await call.api.use_cases.accounts.deactivate(_number(call), actor=call.actor)))


async def delete(call: Call) -> web.StreamResponse:
    """Forget the account and its key without telling its CA; 409 while a renewal uses it."""
    await call.api.use_cases.accounts.delete(_number(call), actor=call.actor)
    return empty()


def _number(call: Call) -> AccountId:
    return AccountId(call.number("id"))


def _answer(record: AccountRecord) -> AccountAnswer:
    return AccountAnswer(
        id=record.id,
        name=record.name,
        directory_url=record.directory_url,
        staging_url=record.staging_url,
        trusted_cas=record.trusted_cas,
        contact=record.contact,
        binding_id=record.binding_id,
        url=record.url,
        terms_agreed=record.terms_agreed,
        created_at_s=record.created_s,
        deactivated_at_s=record.deactivated_s,
    )


ROUTES = (
    Route(
        method="GET",
        path="accounts",
        role=Role.READ_ONLY,
        handler=list_all,
        summary="List accounts at CAs",
        answers={200: AccountsAnswer},
    ),
    Route(
        method="POST",
        path="accounts",
        role=Role.ADMINISTRATOR,
        handler=add,
        heavy=True,
        body=NewAccount,
        summary="Create an account",
        answers={201: AccountAnswer},
    ),
    Route(
        method="GET",
        path="accounts/{id}",
        role=Role.READ_ONLY,
        handler=show,
        summary="Show an account",
        answers={200: AccountAnswer},
    ),
    Route(
        method="PATCH",
        path="accounts/{id}",
        role=Role.ADMINISTRATOR,
        handler=edit,
        asks_ca=True,
        body=AccountEdit,
        summary="Change an account",
        answers={200: AccountAnswer},
    ),
    Route(
        method="DELETE",
        path="accounts/{id}",
        role=Role.ADMINISTRATOR,
        handler=delete,
        summary="Forget an account",
        answers={204: None},
    ),
    Route(
        method="GET",
        path="accounts/{id}/directory",
        role=Role.ADMINISTRATOR,
        handler=directory,
        asks_ca=True,
        summary="Show what an account's CA offers",
        answers={200: DirectoryAnswer},
    ),
    Route(
        method="POST",
        path="accounts/{id}/register",
        role=Role.ADMINISTRATOR,
        handler=register,
        asks_ca=True,
        body=Registration,
        summary="Register an account at its CA",
        answers={200: AccountAnswer},
    ),
    Route(
        method="POST",
        path="accounts/{id}/change-key",
        role=Role.ADMINISTRATOR,
        handler=change_key,
        asks_ca=True,
        summary="Replace an account's key",
        answers={200: AccountAnswer},
    ),
    Route(
        method="POST",
        path="accounts/{id}/deactivate",
        role=Role.ADMINISTRATOR,
        handler=deactivate,
        asks_ca=True,
        summary="Deactivate an account at its CA",
        answers={200: AccountAnswer},
    ),
)
