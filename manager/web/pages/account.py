"""Account page of the user: password, sessions and API tokens; administrators revoke any user's tokens here."""

from typing import Final

from aiohttp import web

from common.api.codes import Role, Scope
from common.api.users import TOKEN_DAYS
from common.errors import AccessError, ConflictError, NotFoundError, Reason
from manager.domain.callers import fits
from manager.domain.model import UserRecord
from manager.http.errors import status_of
from manager.usecases.users import TOKEN_DAYS_MAX
from manager.web.forms import FormFields
from manager.web.pagerequest import Page, PageRequest
from manager.web.pages.rolewords import ROLES, password_problems
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_for, refusal_of

SCOPES: Final = {
    Scope.READ_ONLY: "look at everything but secrets",
    Scope.PUSH_ONLY: "push, watch pushes, and nothing else",
    Scope.OPERATOR: "look, push and acknowledge",
    Scope.ADMINISTRATOR: "do everything except create users, tokens, programs and join tokens, or download private keys",
    Scope.PROVISIONING: "the same, and create join tokens: its holder can receive private keys as a node",
}


async def own(page_request: PageRequest) -> web.StreamResponse:
    """Show the user's own account."""
    return await _own(page_request)


async def own_password(page_request: PageRequest) -> web.StreamResponse:
    """Replace the user's own password, given the current one; every other session ends."""
    user = _signed_in(page_request)
    try:
        await page_request.prove(user.name, page_request.form.text("current"))
        page_request.use_cases.sessions.check_rate(user, address=page_request.address)
    except AccessError as error:
        busy = error.reason is Reason.BUSY
        problem = error.message if busy else "the current password is wrong"
        return await _own(page_request, refusal_for([problem], status_of(error)))
    if problems := password_problems(page_request, user.name):
        return await _own(page_request, refusal_for(problems))
    await page_request.use_cases.users.set_password(
        user.name, password=page_request.form.text("password"), actor=user.name
    )
    response = page_request.redirect(
        "/users/me",
        "Your password was changed; your other sessions have ended, and your API tokens and unused join tokens are revoked.",
    )
    await page_request.begin_session(response, user)
    return response


async def new_token(page_request: PageRequest) -> web.StreamResponse:
    """Create an API token, and show it once."""
    label, days, wanted = (
        page_request.form.text("label").strip(),
        page_request.form.text("days"),
        page_request.form.text("scope"),
    )
    problems = [] if label else ["enter a label, so that you know later what the token is for"]
    if not (days.isascii() and days.isdecimal() and len(days) <= 5 and 1 <= int(days) <= TOKEN_DAYS_MAX):
        problems.append(f"a token is valid for 1 to {TOKEN_DAYS_MAX} days")
    if wanted not in set(Scope):
        problems.append("choose what the token may do")
    if problems:
        return await _own(page_request, refusal_for(problems))
    scope = Scope(wanted)
    try:
        token, expires_s = await page_request.use_cases.users.new_token(
            page_request.actor, label=label, days=int(days), scope=scope, actor=page_request.actor
        )
    except (AccessError, ConflictError) as error:
        return await _own(page_request, refusal_of(error))
    return page_request.render(
        "token_made.html", token=token, label=label, expires_s=expires_s, says=SCOPES[scope]
    )


async def remove_token_page(page_request: PageRequest) -> web.StreamResponse:
    """Show the consequences of revoking a token."""
    found = [
        each
        for each in await page_request.use_cases.users.tokens(_whose(page_request))
        if each.id == page_request.number()
    ]
    if not found:
        raise NotFoundError("the token no longer exists")
    return page_request.render("token_remove.html", token=found[0])


async def remove_token(page_request: PageRequest) -> web.StreamResponse:
    """Revoke one of the user's own tokens; an administrator may revoke any."""
    record = await page_request.use_cases.users.remove_token(
        page_request.number(), name=_whose(page_request), actor=page_request.actor
    )
    whose = "" if record.user == page_request.actor else f" of {record.user}"
    return page_request.redirect(
        "/users/me" if record.user == page_request.actor else "/users/tokens",
        f"The token {record.label}{whose} is revoked.",
    )


async def end_own_sessions(page_request: PageRequest) -> web.StreamResponse:
    """Sign the user out everywhere else, or in one other browser."""
    only = page_request.form.text("session") or None
    here = page_request.use_cases.sessions.id_of(page_request.token)
    await page_request.use_cases.sessions.end_of(
        page_request.actor, only=only, keep=here, actor=page_request.actor
    )
    message = "That browser is signed out." if only else "You are signed out everywhere else."
    return page_request.redirect("/users/me", message)


def _whose(page_request: PageRequest) -> str | None:
    """Return whose tokens the user may revoke: None for everybody's."""
    return None if page_request.may(Role.ADMINISTRATOR) else page_request.actor


def _signed_in(page_request: PageRequest) -> UserRecord:
    if page_request.user is None:
        raise AccessError("sign in first")
    return page_request.user


async def _own(page_request: PageRequest, refusal: FormRefusal = NOT_REFUSED) -> web.Response:
    role = _signed_in(page_request).role
    return page_request.render_form(
        "user_own.html",
        refusal,
        tokens=await page_request.use_cases.users.tokens(page_request.actor),
        label=page_request.form.text("label"),
        days=page_request.form.text("days", str(TOKEN_DAYS)),
        scopes={scope: says for scope, says in SCOPES.items() if fits(scope, role)},
        scope=page_request.form.text("scope", Scope.READ_ONLY),
        sessions=await page_request.use_cases.sessions.list(page_request.actor),
        here=page_request.use_cases.sessions.id_of(page_request.token),
        role_says=ROLES[role],
    )


PAGES = (
    Page(method="GET", path="/users/me", role=Role.READ_ONLY, handler=own),
    Page(
        method="POST",
        path="/users/me/password",
        role=Role.READ_ONLY,
        handler=own_password,
        fields=FormFields(once=("current", "password", "again")),
    ),
    Page(
        method="POST",
        path="/users/me/sessions/end",
        role=Role.READ_ONLY,
        handler=end_own_sessions,
        fields=FormFields(once=("session",)),
    ),
    Page(
        method="POST",
        path="/users/me/tokens",
        role=Role.READ_ONLY,
        handler=new_token,
        fields=FormFields(once=("label", "days", "scope")),
        needs_password=True,
        form_above=True,
    ),
    Page(method="GET", path="/users/tokens/{id}/remove", role=Role.READ_ONLY, handler=remove_token_page),
    Page(method="POST", path="/users/tokens/{id}/remove", role=Role.READ_ONLY, handler=remove_token),
)
