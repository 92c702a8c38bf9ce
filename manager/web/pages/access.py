"""Access pages: signing in and out, and setting up the first administrator."""

from aiohttp import web

from common.api.codes import Role
from common.errors import AccessError, CertcastError, Reason
from manager.http.errors import status_of
from manager.web.cookies import set_session
from manager.web.forms import FormFields
from manager.web.pagerequest import NEXT, Page, PageRequest, ask_password, inside


async def sign_in_page(page_request: PageRequest) -> web.StreamResponse:
    """Ask for name and password."""
    if page_request.user is not None:
        return page_request.redirect(inside(page_request.query(NEXT)))
    return await _ask(page_request, next_path=inside(page_request.query(NEXT)))


async def sign_in(page_request: PageRequest) -> web.StreamResponse:
    """Begin a session, replacing the browser's former tokens."""
    name, next_path = page_request.form.text("name").strip(), inside(page_request.form.text(NEXT))
    try:
        user = await page_request.prove(name, page_request.form.text("password"))
        token = await page_request.use_cases.sessions.start(user, address=page_request.address)
    except AccessError as error:
        return await _ask(page_request, next_path=next_path, name=name, error=error)
    await page_request.use_cases.sessions.end(page_request.token)
    try:
        # the password may have been replaced meanwhile, which ends only the sessions existing then
        await page_request.prove(name, page_request.form.text("password"))
    except AccessError as error:
        await page_request.use_cases.sessions.end(token)
        return await _ask(page_request, next_path=next_path, name=name, error=error)
    response = page_request.redirect(next_path)
    set_session(response, token)
    await page_request.remember_device(response, user)
    return response


async def confirm(page_request: PageRequest) -> web.StreamResponse:
    """Check a signed-in user's password again, and return to the page that needed it."""
    if page_request.user is None:
        raise AccessError("sign in first")
    try:
        await page_request.prove(page_request.user.name, page_request.form.text("password"))
    except AccessError as error:
        busy = error.reason is Reason.BUSY
        return ask_password(
            page_request,
            status=status_of(error),
            next_path=page_request.form.text(NEXT),
            error=error.message if busy else "the password is wrong",
        )
    await page_request.use_cases.sessions.confirmed(page_request.token)
    return page_request.redirect(inside(page_request.form.text(NEXT)))


async def sign_out(page_request: PageRequest) -> web.StreamResponse:
    """End the session, here and in the store."""
    await page_request.use_cases.sessions.end(page_request.token)
    response = page_request.redirect("/sign-in", "You are signed out.")
    # the next page gives the browser a new visitor's token
    set_session(response, "")
    return response


async def set_up_page(page_request: PageRequest) -> web.StreamResponse:
    """Ask for the first administrator, if the link is valid."""
    await page_request.use_cases.setup.check(page_request.name("token"))
    return page_request.render("set_up.html", name="admin", error=None)


async def set_up(page_request: PageRequest) -> web.StreamResponse:
    """Create the first administrator and sign in."""
    name, password = page_request.form.text("name").strip(), page_request.form.text("password")
    problem = "The two passwords differ." if password != page_request.form.text("again") else ""
    if not problem:
        try:
            user = await page_request.use_cases.setup.create(
                page_request.name("token"), name=name, password=password
            )
        except AccessError:
            raise
        except CertcastError as error:
            problem = error.message
        else:
            response = page_request.redirect("/", f"Welcome, {name}. Add your first node, or a certificate.")
            await page_request.begin_session(response, user)
            return response
    return page_request.render("set_up.html", status=400, name=name, error=problem)


async def _ask(
    page_request: PageRequest, *, next_path: str, name: str = "", error: AccessError | None = None
) -> web.Response:
    return page_request.render(
        "sign_in.html",
        status=status_of(error) if error else 200,
        next_path=next_path,
        name=name,
        error=error.message if error else "",
        locked=error is not None and error.reason is Reason.BUSY,
        needs_set_up=await page_request.use_cases.setup.is_needed(),
    )


PAGES = (
    Page(method="GET", path="/sign-in", role=None, handler=sign_in_page),
    Page(
        method="POST",
        path="/sign-in",
        role=None,
        handler=sign_in,
        fields=FormFields(once=("name", "password", NEXT)),
    ),
    Page(method="POST", path="/sign-out", role=Role.READ_ONLY, handler=sign_out),
    Page(
        method="POST",
        path="/confirm",
        role=Role.READ_ONLY,
        handler=confirm,
        fields=FormFields(once=("password", NEXT)),
    ),
    Page(method="GET", path="/set-up/{token}", role=None, handler=set_up_page),
    Page(
        method="POST",
        path="/set-up/{token}",
        role=None,
        handler=set_up,
        fields=FormFields(once=("name", "password", "again")),
    ),
)
