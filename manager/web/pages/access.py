"""Signing in and out, and setting up the first administrator."""

from aiohttp import web

from common.api.codes import Role
from common.errors import AccessError, CertcastError, Reason
from manager.http.errors import status_of
from manager.web.pagerequest import NEXT, Page, PageRequest, ask_password, inside


async def sign_in_page(visit: PageRequest) -> web.StreamResponse:
    """Ask for name and password."""
    if visit.user is not None:
        return visit.redirect(inside(visit.query(NEXT)))
    return await _ask(visit, next_path=inside(visit.query(NEXT)))


async def sign_in(visit: PageRequest) -> web.StreamResponse:
    """Begin a session; whatever the browser kept before is replaced."""
    name, next_path = visit.form.text("name").strip(), inside(visit.form.text(NEXT))
    try:
        user = await visit.prove(name, visit.form.text("password"))
        token = await visit.use_cases.sessions.start(user, address=visit.address)
    except AccessError as error:
        return await _ask(visit, next_path=next_path, name=name, error=error)
    await visit.use_cases.sessions.end(visit.token)
    try:
        # the password may have been replaced meanwhile, which ends only the sessions that there were
        await visit.prove(name, visit.form.text("password"))
    except AccessError as error:
        await visit.use_cases.sessions.end(token)
        return await _ask(visit, next_path=next_path, name=name, error=error)
    response = visit.redirect(next_path)
    visit.remember(response, token)
    await visit.remember_device(response, user)
    return response


async def confirm(visit: PageRequest) -> web.StreamResponse:
    """Take the password of who is signed in once more, and lead back to what needed it."""
    if visit.user is None:
        raise AccessError("sign in first")
    try:
        await visit.prove(visit.user.name, visit.form.text("password"))
    except AccessError as error:
        busy = error.reason is Reason.BUSY
        return ask_password(
            visit,
            status=status_of(error),
            next_path=visit.form.text(NEXT),
            error=error.message if busy else "the password is wrong",
        )
    visit.use_cases.sessions.confirmed(visit.token)
    return visit.redirect(inside(visit.form.text(NEXT)))


async def sign_out(visit: PageRequest) -> web.StreamResponse:
    """End the session, here and in the store."""
    await visit.use_cases.sessions.end(visit.token)
    response = visit.redirect("/sign-in", "You are signed out.")
    # the next page gives the browser a token of its own again
    visit.remember(response, "")
    return response


async def set_up_page(visit: PageRequest) -> web.StreamResponse:
    """Ask for the first administrator, if the link is good."""
    await visit.use_cases.setup.check(visit.name("token"))
    return visit.render("set_up.html", name="admin", error=None)


async def set_up(visit: PageRequest) -> web.StreamResponse:
    """Create the first administrator, and sign in as that one."""
    name, password = visit.form.text("name").strip(), visit.form.text("password")
    problem = "The two passwords differ." if password != visit.form.text("again") else ""
    if not problem:
        try:
            user = await visit.use_cases.setup.create(visit.name("token"), name=name, password=password)
        except AccessError:
            raise
        except CertcastError as error:
            problem = error.message
        else:
            token = await visit.use_cases.sessions.start(user, address=visit.address)
            response = visit.redirect("/", f"Welcome, {name}. Add your first node, or a certificate.")
            visit.remember(response, token)
            await visit.remember_device(response, user)
            return response
    return visit.render("set_up.html", status=400, name=name, error=problem)


async def _ask(
    visit: PageRequest, *, next_path: str, name: str = "", error: AccessError | None = None
) -> web.Response:
    return visit.render(
        "sign_in.html",
        status=status_of(error) if error else 200,
        next_path=next_path,
        name=name,
        error=error.message if error else "",
        locked=error is not None and error.reason is Reason.BUSY,
        needs_set_up=await visit.use_cases.setup.is_needed(),
    )


PAGES = (
    Page(method="GET", path="/sign-in", role=None, handler=sign_in_page),
    Page(method="POST", path="/sign-in", role=None, handler=sign_in),
    Page(method="POST", path="/sign-out", role=Role.READ_ONLY, handler=sign_out),
    Page(method="POST", path="/confirm", role=Role.READ_ONLY, handler=confirm),
    Page(method="GET", path="/set-up/{token}", role=None, handler=set_up_page),
    Page(method="POST", path="/set-up/{token}", role=None, handler=set_up),
)
