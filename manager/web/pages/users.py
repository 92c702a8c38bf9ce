"""Users: the own account for everybody; for administrators everybody's, and the programs that sign in with a key."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from common.api.codes import Role, Scope
from common.api.users import TOKEN_DAYS
from common.errors import AccessError, CertcastError, ConflictError, InvalidInputError, NotFoundError, Reason
from manager.domain.callers import fits
from manager.domain.model import UserRecord
from manager.http.errors import status_of
from manager.usecases.users import TOKEN_DAYS_MAX, findings_of_user
from manager.web.visit import Page, Visit

ROLES: Final = {
    Role.READ_ONLY: "looks at everything but secrets",
    Role.OPERATOR: "also pushes and acknowledges",
    Role.ADMINISTRATOR: "does everything",
}
SCOPES: Final = {
    Scope.READ_ONLY: "look at everything but secrets",
    Scope.PUSH_ONLY: "push, watch pushes, and nothing else",
    Scope.OPERATOR: "look, push and acknowledge",
    Scope.ADMINISTRATOR: "do everything but make users, tokens, programs and join tokens or take private keys away",
    Scope.PROVISIONING: "the same, and make join tokens: whoever has it can receive private keys as a node",
}
DIFFER: Final = "the two passwords differ"


async def list_all(visit: Visit) -> web.StreamResponse:
    """Show all users and clients; who may not see them is led to the own account."""
    if not visit.may(Role.ADMINISTRATOR):
        return visit.redirect("/users/me")
    return visit.render(
        "users.html",
        users=await visit.operations.users.list(),
        clients=await visit.operations.clients.list(),
    )


async def new_page(visit: Visit) -> web.StreamResponse:
    """Ask for a user's name, role and password."""
    return _new(visit)


async def add(visit: Visit) -> web.StreamResponse:
    """Add a user."""
    name, password = visit.form.text("name").strip(), visit.form.text("password")
    problems = [each.message for each in findings_of_user(name, password)]
    if password != visit.form.text("again"):
        problems.append(DIFFER)
    if problems:
        return _new(visit, 400, problems)
    try:
        await visit.operations.users.add(name, role=_role(visit), password=password, actor=visit.actor)
    except CertcastError as error:
        return _new(visit, status_of(error), [error.message])
    return visit.redirect("/users", f"{name} can sign in now.")


async def show(visit: Visit) -> web.StreamResponse:
    """Show a user, to be changed."""
    return await _show(visit)


async def set_role(visit: Visit) -> web.StreamResponse:
    """Give a user another role."""
    record = await _user(visit)
    seen, role = visit.form.text("seen"), _role(visit)
    try:
        await visit.operations.users.set_role(record.name, role=role, seen=seen, actor=visit.actor)
    except ConflictError as error:
        return await _show(visit, 409, [error.message])
    return visit.redirect("/users", f"{record.name} is {role} now.")


async def set_password(visit: Visit) -> web.StreamResponse:
    """Replace a user's password."""
    record = await _user(visit)
    if problems := _password_problems(visit, record):
        return await _show(visit, 400, problems)
    await visit.operations.users.set_password(
        record.name, password=visit.form.text("password"), actor=visit.actor
    )
    return visit.redirect(
        "/users", f"{record.name} has a new password; sessions and API tokens from before are over."
    )


async def remove_page(visit: Visit) -> web.StreamResponse:
    """Say what follows when a user is deleted."""
    record = await _user(visit)
    return visit.render(
        "user_remove.html",
        record=record,
        tokens=await visit.operations.users.tokens(record.name),
        clients=await visit.operations.clients.made_by(record.name),
    )


async def remove(visit: Visit) -> web.StreamResponse:
    """Delete a user."""
    record = await _user(visit)
    await visit.operations.users.remove(record.name, actor=visit.actor)
    return visit.redirect("/users", f"{record.name} is deleted.")


async def own(visit: Visit) -> web.StreamResponse:
    """Show the own account."""
    return await _own(visit)


async def own_password(visit: Visit) -> web.StreamResponse:
    """Replace the own password, which the current one allows; every other session ends."""
    user = _signed_in(visit)
    try:
        await visit.prove(user.name, visit.form.text("current"))
        visit.operations.sessions.check_allowance(user, address=visit.address)
    except AccessError as error:
        busy = error.reason is Reason.BUSY
        return await _own(
            visit, status_of(error), [error.message if busy else "the current password is wrong"]
        )
    if problems := _password_problems(visit, user):
        return await _own(visit, 400, problems)
    await visit.operations.users.set_password(
        user.name, password=visit.form.text("password"), actor=user.name
    )
    token = await visit.operations.sessions.start(user, address=visit.address)
    response = visit.redirect(
        "/users/me", "You have a new password; your other sessions and your API tokens are over."
    )
    visit.remember(response, token)
    await visit.remember_device(response, user)
    return response


async def new_token(visit: Visit) -> web.StreamResponse:
    """Make an API token, and show it once."""
    label, days, wanted = visit.form.text("label").strip(), visit.form.text("days"), visit.form.text("scope")
    problems = [] if label else ["a token has a label, so that you know later what it is for"]
    if not (days.isascii() and days.isdecimal() and len(days) <= 5 and 1 <= int(days) <= TOKEN_DAYS_MAX):
        problems.append(f"a token lives 1 to {TOKEN_DAYS_MAX} days")
    if wanted not in set(Scope):
        problems.append("choose what the token may do")
    if problems:
        return await _own(visit, 400, problems)
    scope = Scope(wanted)
    try:
        token, expires_s = await visit.operations.users.new_token(
            visit.actor, label=label, days=int(days), scope=scope, actor=visit.actor
        )
    except (AccessError, ConflictError) as error:
        return await _own(visit, status_of(error), [error.message])
    return visit.render("token_made.html", token=token, label=label, expires_s=expires_s, says=SCOPES[scope])


async def remove_token_page(visit: Visit) -> web.StreamResponse:
    """Say what follows when a token is revoked."""
    found = [each for each in await visit.operations.users.tokens(_whose(visit)) if each.id == visit.number()]
    if not found:
        raise NotFoundError("there is no such token any more")
    return visit.render("token_remove.html", token=found[0])


async def remove_token(visit: Visit) -> web.StreamResponse:
    """Revoke one of the own tokens, as an administrator anybody's."""
    record = await visit.operations.users.remove_token(visit.number(), name=_whose(visit), actor=visit.actor)
    whose = "" if record.user == visit.actor else f" of {record.user}"
    return visit.redirect(
        "/users/me" if record.user == visit.actor else "/users/tokens",
        f"The token {record.label}{whose} is revoked.",
    )


async def all_tokens(visit: Visit) -> web.StreamResponse:
    """Show everybody's API tokens."""
    return visit.render("tokens.html", tokens=await visit.operations.users.tokens(None))


async def end_own_sessions(visit: Visit) -> web.StreamResponse:
    """Sign the user out everywhere else, or in one other browser."""
    only = visit.form.text("session") or None
    here = visit.operations.sessions.id_of(visit.token)
    await visit.operations.sessions.end_of(visit.actor, only=only, keep=here, actor=visit.actor)
    said = "That browser is signed out." if only else "You are signed out everywhere else."
    return visit.redirect("/users/me", said)


async def end_sessions(visit: Visit) -> web.StreamResponse:
    """Sign a user out everywhere."""
    record = await _user(visit)
    await visit.operations.sessions.end_of(record.name, actor=visit.actor)
    return visit.redirect(f"/users/named/{quote(record.name)}", f"{record.name} is signed out everywhere.")


async def new_client_page(visit: Visit) -> web.StreamResponse:
    """Ask for a program's name, role and public key."""
    return _new_client(visit)


async def add_client(visit: Visit) -> web.StreamResponse:
    """Register a program that signs in with a key."""
    name = visit.form.text("name").strip()
    try:
        record = await visit.operations.clients.add(
            name, role=_role(visit), public_key=visit.form.text("public_key"), actor=visit.actor
        )
    except CertcastError as error:
        return _new_client(visit, status_of(error), [error.message])
    return visit.redirect("/users", f"{name} can sign in now; its client id is {record.client_id}.")


async def remove_client_page(visit: Visit) -> web.StreamResponse:
    """Say what follows when a client is deleted."""
    return visit.render("client_remove.html", name=visit.name("name"))


async def remove_client(visit: Visit) -> web.StreamResponse:
    """Delete a client."""
    await visit.operations.clients.remove(visit.name("name"), actor=visit.actor)
    return visit.redirect("/users", f"{visit.name('name')} is deleted.")


def _whose(visit: Visit) -> str | None:
    """Return whose tokens a visitor may revoke: None for everybody's."""
    return None if visit.may(Role.ADMINISTRATOR) else visit.actor


def _signed_in(visit: Visit) -> UserRecord:
    if visit.user is None:
        raise AccessError("sign in first")
    return visit.user


def _role(visit: Visit) -> Role:
    """Return the chosen role. Raises InvalidInputError."""
    text = visit.form.text("role")
    if text not in set(Role):
        raise InvalidInputError("role", f"'{text[:40]}' is not a role")
    return Role(text)


def _password_problems(visit: Visit, user: UserRecord) -> list[str]:
    password = visit.form.text("password")
    problems = [each.message for each in findings_of_user(user.name, password)]
    return problems if password == visit.form.text("again") else [*problems, DIFFER]


async def _user(visit: Visit) -> UserRecord:
    return await visit.operations.users.get(visit.name("name"))


def _new(visit: Visit, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    return visit.render(
        "user_new.html",
        status=status,
        problems=problems,
        roles=ROLES,
        name=visit.form.text("name"),
        role=visit.form.text("role", Role.READ_ONLY),
    )


async def _show(visit: Visit, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    record = await _user(visit)
    return visit.render(
        "user.html",
        status=status,
        problems=problems,
        roles=ROLES,
        record=record,
        tokens=await visit.operations.users.tokens(record.name),
        sessions=await visit.operations.sessions.list(record.name),
        clients=await visit.operations.clients.made_by(record.name),
        where=f"/users/named/{quote(record.name)}",
    )


async def _own(visit: Visit, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    role = _signed_in(visit).role
    return visit.render(
        "user_own.html",
        status=status,
        problems=problems,
        tokens=await visit.operations.users.tokens(visit.actor),
        label=visit.form.text("label"),
        days=visit.form.text("days", str(TOKEN_DAYS)),
        scopes={scope: says for scope, says in SCOPES.items() if fits(scope, role)},
        scope=visit.form.text("scope", Scope.READ_ONLY),
        sessions=await visit.operations.sessions.list(visit.actor),
        here=visit.operations.sessions.id_of(visit.token),
        role_says=ROLES[role],
    )


def _new_client(visit: Visit, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    return visit.render(
        "client_new.html",
        status=status,
        problems=problems,
        roles=ROLES,
        name=visit.form.text("name"),
        role=visit.form.text("role", Role.READ_ONLY),
        public_key=visit.form.text("public_key"),
    )


_EVERYBODY: Final = (
    Page(method="GET", path="/users", role=Role.READ_ONLY, handler=list_all),
    Page(method="GET", path="/users/me", role=Role.READ_ONLY, handler=own),
    Page(method="POST", path="/users/me/password", role=Role.READ_ONLY, handler=own_password),
    Page(method="POST", path="/users/me/sessions/end", role=Role.READ_ONLY, handler=end_own_sessions),
    Page(
        method="POST",
        path="/users/me/tokens",
        role=Role.READ_ONLY,
        handler=new_token,
        needs_password=True,
        form_above=True,
    ),
    Page(method="GET", path="/users/tokens/{id}/remove", role=Role.READ_ONLY, handler=remove_token_page),
    Page(method="POST", path="/users/tokens/{id}/remove", role=Role.READ_ONLY, handler=remove_token),
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
    *_EVERYBODY,
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
