"""Users and programs that sign in with a key, for administrators."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from common.api.codes import Role
from common.errors import CertcastError, ConflictError, InvalidInputError
from manager.domain.model import UserRecord
from manager.http.errors import status_of
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.rolewords import ROLES, password_problems


async def list_all(visit: PageRequest) -> web.StreamResponse:
    """Show all users and clients; who may not see them is led to the own account."""
    if not visit.may(Role.ADMINISTRATOR):
        return visit.redirect("/users/me")
    return visit.render(
        "users.html",
        users=await visit.use_cases.users.list(),
        clients=await visit.use_cases.clients.list(),
    )


async def new_page(visit: PageRequest) -> web.StreamResponse:
    """Ask for a user's name, role and password."""
    return _new(visit)


async def add(visit: PageRequest) -> web.StreamResponse:
    name, password = visit.form.text("name").strip(), visit.form.text("password")
    if problems := password_problems(visit, name):
        return _new(visit, 400, problems)
    try:
        await visit.use_cases.users.add(name, role=_role(visit), password=password, actor=visit.actor)
    except CertcastError as error:
        return _new(visit, status_of(error), [error.message])
    return visit.redirect("/users", f"{name} can sign in now.")


async def show(visit: PageRequest) -> web.StreamResponse:
    """Show a user, to be changed."""
    return await _show(visit)


async def set_role(visit: PageRequest) -> web.StreamResponse:
    """Give a user another role."""
    record = await _user(visit)
    seen, role = visit.form.text("seen"), _role(visit)
    try:
        await visit.use_cases.users.set_role(record.name, role=role, seen=seen, actor=visit.actor)
    except ConflictError as error:
        return await _show(visit, 409, [error.message])
    return visit.redirect("/users", f"{record.name} is now {role}.")


async def set_password(visit: PageRequest) -> web.StreamResponse:
    """Replace a user's password."""
    record = await _user(visit)
    if problems := password_problems(visit, record.name):
        return await _show(visit, 400, problems)
    await visit.use_cases.users.set_password(
        record.name, password=visit.form.text("password"), actor=visit.actor
    )
    return visit.redirect(
        "/users",
        f"{record.name} has a new password; earlier sessions have ended, and earlier API tokens are revoked.",
    )


async def remove_page(visit: PageRequest) -> web.StreamResponse:
    """Say what follows when a user is deleted."""
    record = await _user(visit)
    return visit.render(
        "user_remove.html",
        record=record,
        tokens=await visit.use_cases.users.tokens(record.name),
        clients=await visit.use_cases.clients.made_by(record.name),
    )


async def remove(visit: PageRequest) -> web.StreamResponse:
    record = await _user(visit)
    await visit.use_cases.users.remove(record.name, actor=visit.actor)
    return visit.redirect("/users", f"{record.name} is deleted.")


async def all_tokens(visit: PageRequest) -> web.StreamResponse:
    """Show everybody's API tokens."""
    return visit.render("tokens.html", tokens=await visit.use_cases.users.tokens(None))


async def end_sessions(visit: PageRequest) -> web.StreamResponse:
    """Sign a user out everywhere."""
    record = await _user(visit)
    await visit.use_cases.sessions.end_of(record.name, actor=visit.actor)
    return visit.redirect(f"/users/named/{quote(record.name)}", f"{record.name} is signed out everywhere.")


async def new_client_page(visit: PageRequest) -> web.StreamResponse:
    """Ask for a program's name, role and public key."""
    return _new_client(visit)


async def add_client(visit: PageRequest) -> web.StreamResponse:
    """Register a program that signs in with a key."""
    name = visit.form.text("name").strip()
    try:
        record = await visit.use_cases.clients.add(
            name, role=_role(visit), public_key=visit.form.text("public_key"), actor=visit.actor
        )
    except CertcastError as error:
        return _new_client(visit, status_of(error), [error.message])
    return visit.redirect("/users", f"{name} can sign in now; its client id is {record.client_id}.")


async def remove_client_page(visit: PageRequest) -> web.StreamResponse:
    """Say what follows when a client is deleted."""
    return visit.render("client_remove.html", name=visit.name("name"))


async def remove_client(visit: PageRequest) -> web.StreamResponse:
    await visit.use_cases.clients.remove(visit.name("name"), actor=visit.actor)
    return visit.redirect("/users", f"{visit.name('name')} is deleted.")


def _role(visit: PageRequest) -> Role:
    """Return the chosen role. Raises InvalidInputError."""
    text = visit.form.text("role")
    if text not in set(Role):
        raise InvalidInputError("role", f"'{text[:40]}' is not a role")
    return Role(text)


async def _user(visit: PageRequest) -> UserRecord:
    return await visit.use_cases.users.get(visit.name("name"))


def _new(visit: PageRequest, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    return visit.render(
        "user_new.html",
        status=status,
        problems=problems,
        roles=ROLES,
        name=visit.form.text("name"),
        role=visit.form.text("role", Role.READ_ONLY),
    )


async def _show(visit: PageRequest, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    record = await _user(visit)
    return visit.render(
        "user.html",
        status=status,
        problems=problems,
        roles=ROLES,
        record=record,
        tokens=await visit.use_cases.users.tokens(record.name),
        sessions=await visit.use_cases.sessions.list(record.name),
        clients=await visit.use_cases.clients.made_by(record.name),
        where=f"/users/named/{quote(record.name)}",
    )


def _new_client(visit: PageRequest, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    return visit.render(
        "client_new.html",
        status=status,
        problems=problems,
        roles=ROLES,
        name=visit.form.text("name"),
        role=visit.form.text("role", Role.READ_ONLY),
        public_key=visit.form.text("public_key"),
    )


_ADMINISTRATORS: Final = (
    ("GET", "/users/tokens", all_tokens),
    ("GET", "/users/named/{name}", show),
    ("POST", "/users/named/{name}/sessions", end_sessions),
    ("GET", "/users/clients/{name}/remove", remove_client_page),
    ("POST", "/users/clients/{name}/remove", remove_client),
)
_WITH_PASSWORD: Final = (
    ("GET", "/users/new", new_page),
    ("POST", "/users/new", add),
    ("POST", "/users/named/{name}/role", set_role),
    ("POST", "/users/named/{name}/password", set_password),
    ("GET", "/users/named/{name}/remove", remove_page),
    ("POST", "/users/named/{name}/remove", remove),
    ("GET", "/users/clients/new", new_client_page),
    ("POST", "/users/clients/new", add_client),
)

PAGES = (
    Page(method="GET", path="/users", role=Role.READ_ONLY, handler=list_all),
    *(
        Page(
            method=method,
            path=path,
            role=Role.ADMINISTRATOR,
            handler=handler,
            needs_password=rows is _WITH_PASSWORD,
            form_above=path.endswith(("/role", "/password")),
        )
        for rows in (_ADMINISTRATORS, _WITH_PASSWORD)
        for method, path, handler in rows
    ),
)
