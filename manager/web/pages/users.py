"""User pages for administrators: users, and programs that sign in with a key."""

from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, ConflictError, InvalidInputError
from manager.domain.model import UserRecord
from manager.web.forms import FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.rolewords import ROLES, password_problems
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_for, refusal_of


async def list_all(page_request: PageRequest) -> web.StreamResponse:
    """Show all users and programs; others are sent to their own account."""
    if not page_request.may(Role.ADMINISTRATOR):
        return page_request.redirect("/users/me")
    return page_request.render(
        "users.html",
        users=await page_request.use_cases.users.list(),
        clients=await page_request.use_cases.clients.list(),
    )


async def new_page(page_request: PageRequest) -> web.StreamResponse:
    """Ask for a user's name, role and password."""
    return _new(page_request)


async def add(page_request: PageRequest) -> web.StreamResponse:
    name, password = page_request.form.text("name").strip(), page_request.form.text("password")
    if problems := password_problems(page_request, name):
        return _new(page_request, refusal_for(problems))
    try:
        await page_request.use_cases.users.add(
            name, role=_role(page_request), password=password, actor=page_request.actor
        )
    except CertcastError as error:
        return _new(page_request, refusal_of(error))
    return page_request.redirect("/users", f"{name} can sign in now.")


async def show(page_request: PageRequest) -> web.StreamResponse:
    """Show a user for editing."""
    return await _show(page_request)


async def set_role(page_request: PageRequest) -> web.StreamResponse:
    """Give a user another role."""
    record = await _user(page_request)
    seen, role = page_request.form.text("seen"), _role(page_request)
    try:
        await page_request.use_cases.users.set_role(
            record.name, role=role, seen=seen, actor=page_request.actor
        )
    except ConflictError as error:
        return await _show(page_request, refusal_of(error))
    return page_request.redirect("/users", f"{record.name} is now {role}.")


async def set_password(page_request: PageRequest) -> web.StreamResponse:
    """Replace a user's password."""
    record = await _user(page_request)
    if problems := password_problems(page_request, record.name):
        return await _show(page_request, refusal_for(problems))
    await page_request.use_cases.users.set_password(
        record.name, password=page_request.form.text("password"), actor=page_request.actor
    )
    return page_request.redirect(
        "/users",
        f"{record.name} has a new password; earlier sessions have ended, and earlier API tokens and unused join tokens are revoked.",
    )


async def remove_page(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of deleting a user."""
    record = await _user(page_request)
    return page_request.render(
        "user_remove.html",
        record=record,
        tokens=await page_request.use_cases.users.tokens(record.name),
        clients=await page_request.use_cases.clients.made_by(record.name),
    )


async def remove(page_request: PageRequest) -> web.StreamResponse:
    record = await _user(page_request)
    await page_request.use_cases.users.remove(record.name, actor=page_request.actor)
    return page_request.redirect("/users", f"{record.name} is deleted.")


async def all_tokens(page_request: PageRequest) -> web.StreamResponse:
    """Show all users' API tokens."""
    return page_request.render("tokens.html", tokens=await page_request.use_cases.users.tokens(None))


async def end_sessions(page_request: PageRequest) -> web.StreamResponse:
    """Sign a user out everywhere."""
    record = await _user(page_request)
    await page_request.use_cases.sessions.end_of(record.name, actor=page_request.actor)
    return page_request.redirect(
        f"/users/named/{quote(record.name)}", f"{record.name} is signed out everywhere."
    )


async def new_client_page(page_request: PageRequest) -> web.StreamResponse:
    """Ask for a program's name, role and public key."""
    return _new_client(page_request)


async def add_client(page_request: PageRequest) -> web.StreamResponse:
    """Register a program that signs in with a key."""
    name = page_request.form.text("name").strip()
    try:
        record = await page_request.use_cases.clients.add(
            name,
            role=_role(page_request),
            public_key=page_request.form.text("public_key"),
            actor=page_request.actor,
        )
    except CertcastError as error:
        return _new_client(page_request, refusal_of(error))
    return page_request.redirect("/users", f"{name} can sign in now; its client id is {record.client_id}.")


async def remove_client_page(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of deleting a program."""
    return page_request.render("client_remove.html", name=page_request.name("name"))


async def remove_client(page_request: PageRequest) -> web.StreamResponse:
    await page_request.use_cases.clients.remove(page_request.name("name"), actor=page_request.actor)
    return page_request.redirect("/users", f"{page_request.name('name')} is deleted.")


def _role(page_request: PageRequest) -> Role:
    """Return the chosen role. Raises InvalidInputError."""
    text = page_request.form.text("role")
    if text not in set(Role):
        raise InvalidInputError("role", f"'{text[:40]}' is not a role")
    return Role(text)


async def _user(page_request: PageRequest) -> UserRecord:
    return await page_request.use_cases.users.get(page_request.name("name"))


def _new(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    return page_request.render_form("user_new.html", refusal, **_named(page_request))


async def _show(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    record = await _user(page_request)
    return page_request.render_form(
        "user.html",
        refusal,
        roles=ROLES,
        record=record,
        tokens=await page_request.use_cases.users.tokens(record.name),
        sessions=await page_request.use_cases.sessions.list(record.name),
        clients=await page_request.use_cases.clients.made_by(record.name),
        where=f"/users/named/{quote(record.name)}",
    )


def _new_client(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    return page_request.render_form(
        "client_new.html",
        refusal,
        public_key=page_request.form.text("public_key"),
        **_named(page_request),
    )


def _named(page_request: PageRequest) -> dict[str, Any]:
    """Return the values of a form for a name with a role."""
    return {
        "roles": ROLES,
        "name": page_request.form.text("name"),
        "role": page_request.form.text("role", Role.READ_ONLY),
    }


_ADMINISTRATORS: Final = (
    ("GET", "/users/tokens", all_tokens, ()),
    ("GET", "/users/named/{name}", show, ()),
    ("POST", "/users/named/{name}/sessions", end_sessions, ()),
    ("GET", "/users/clients/{name}/remove", remove_client_page, ()),
    ("POST", "/users/clients/{name}/remove", remove_client, ()),
)
_WITH_PASSWORD: Final = (
    ("GET", "/users/new", new_page, ()),
    ("POST", "/users/new", add, ("name", "role", "password", "again")),
    ("POST", "/users/named/{name}/role", set_role, ("seen", "role")),
    ("POST", "/users/named/{name}/password", set_password, ("password", "again")),
    ("GET", "/users/named/{name}/remove", remove_page, ()),
    ("POST", "/users/named/{name}/remove", remove, ()),
    ("GET", "/users/clients/new", new_client_page, ()),
    ("POST", "/users/clients/new", add_client, ("name", "role", "public_key")),
)

PAGES = (
    Page(method="GET", path="/users", role=Role.READ_ONLY, handler=list_all),
    *(
        Page(
            method=method,
            path=path,
            role=Role.ADMINISTRATOR,
            handler=handler,
            fields=FormFields(once=fields),
            needs_password=rows is _WITH_PASSWORD,
            form_above=path.endswith(("/role", "/password")),
        )
        for rows in (_ADMINISTRATORS, _WITH_PASSWORD)
        for method, path, handler, fields in rows
    ),
)
