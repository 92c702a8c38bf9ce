"""Own account: the password, sessions and API tokens of who is signed in; administrators revoke anybody's tokens here."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from common.api.codes import Role, Scope
from common.api.users import TOKEN_DAYS
from common.errors import AccessError, ConflictError, NotFoundError, Reason
from manager.domain.callers import fits
from manager.domain.model import UserRecord
from manager.http.errors import status_of
from manager.usecases.users import TOKEN_DAYS_MAX
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.rolewords import ROLES, password_problems

SCOPES: Final = {
    Scope.READ_ONLY: "look at everything but secrets",
    Scope.PUSH_ONLY: "push, watch pushes, and nothing else",
    Scope.OPERATOR: "look, push and acknowledge",
    Scope.ADMINISTRATOR: "do everything except create users, tokens, programs and join tokens, or download private keys",
    Scope.PROVISIONING: "the same, and create join tokens: whoever has it can receive private keys as a node",
}


async def own(visit: PageRequest) -> web.StreamResponse:
    """Show the own account."""
    return await _own(visit)


async def own_password(visit: PageRequest) -> web.StreamResponse:
    """Replace the own password, which the current one allows; every other session ends."""
    user = _signed_in(visit)
    try:
        await visit.prove(user.name, visit.form.text("current"))
        visit.use_cases.sessions.check_allowance(user, address=visit.address)
    except AccessError as error:
        busy = error.reason is Reason.BUSY
        return await _own(
            visit, status_of(error), [error.message if busy else "the current password is wrong"]
        )
    if problems := password_problems(visit, user.name):
        return await _own(visit, 400, problems)
    await visit.use_cases.users.set_password(user.name, password=visit.form.text("password"), actor=user.name)
    token = await visit.use_cases.sessions.start(user, address=visit.address)
    response = visit.redirect(
        "/users/me",
        "Your password was changed; your other sessions have ended, and your API tokens are revoked.",
    )
    visit.remember(response, token)
    await visit.remember_device(response, user)
    return response


async def new_token(visit: PageRequest) -> web.StreamResponse:
    """Make an API token, and show it once."""
    label, days, wanted = visit.form.text("label").strip(), visit.form.text("days"), visit.form.text("scope")
    problems = [] if label else ["a token needs a label, so that you know later what it is for"]
    if not (days.isascii() and days.isdecimal() and len(days) <= 5 and 1 <= int(days) <= TOKEN_DAYS_MAX):
        problems.append(f"a token is valid for 1 to {TOKEN_DAYS_MAX} days")
    if wanted not in set(Scope):
        problems.append("choose what the token may do")
    if problems:
        return await _own(visit, 400, problems)
    scope = Scope(wanted)
    try:
        token, expires_s = await visit.use_cases.users.new_token(
            visit.actor, label=label, days=int(days), scope=scope, actor=visit.actor
        )
    except (AccessError, ConflictError) as error:
        return await _own(visit, status_of(error), [error.message])
    return visit.render("token_made.html", token=token, label=label, expires_s=expires_s, says=SCOPES[scope])


async def remove_token_page(visit: PageRequest) -> web.StreamResponse:
    """Say what follows when a token is revoked."""
    found = [each for each in await visit.use_cases.users.tokens(_whose(visit)) if each.id == visit.number()]
    if not found:
        raise NotFoundError("the token no longer exists")
    return visit.render("token_remove.html", token=found[0])


async def remove_token(visit: PageRequest) -> web.StreamResponse:
    """Revoke one of the own tokens, as an administrator anybody's."""
    record = await visit.use_cases.users.remove_token(visit.number(), name=_whose(visit), actor=visit.actor)
    whose = "" if record.user == visit.actor else f" of {record.user}"
    return visit.redirect(
        "/users/me" if record.user == visit.actor else "/users/tokens",
        f"The token {record.label}{whose} is revoked.",
    )


async def end_own_sessions(visit: PageRequest) -> web.StreamResponse:
    """Sign the user out everywhere else, or in one other browser."""
    only = visit.form.text("session") or None
    here = visit.use_cases.sessions.id_of(visit.token)
    await visit.use_cases.sessions.end_of(visit.actor, only=only, keep=here, actor=visit.actor)
    said = "That browser is signed out." if only else "You are signed out everywhere else."
    return visit.redirect("/users/me", said)


def _whose(visit: PageRequest) -> str | None:
    """Return whose tokens a visitor may revoke: None for everybody's."""
    return None if visit.may(Role.ADMINISTRATOR) else visit.actor


def _signed_in(visit: PageRequest) -> UserRecord:
    if visit.user is None:
        raise AccessError("sign in first")
    return visit.user


async def _own(visit: PageRequest, status: int = 200, problems: Sequence[str] = ()) -> web.Response:
    role = _signed_in(visit).role
    return visit.render(
        "user_own.html",
        status=status,
        problems=problems,
        tokens=await visit.use_cases.users.tokens(visit.actor),
        label=visit.form.text("label"),
        days=visit.form.text("days", str(TOKEN_DAYS)),
        scopes={scope: says for scope, says in SCOPES.items() if fits(scope, role)},
        scope=visit.form.text("scope", Scope.READ_ONLY),
        sessions=await visit.use_cases.sessions.list(visit.actor),
        here=visit.use_cases.sessions.id_of(visit.token),
        role_says=ROLES[role],
    )


PAGES = (
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
