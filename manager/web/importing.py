"""Import pages: take a batch of files, then show the result or why nothing was imported."""

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from common.errors import CertcastError
from manager.pki.read.batch import ImportFile
from manager.web.forms import FormFields
from manager.web.pagerequest import PageRequest
from manager.web.refusal import NOT_REFUSED, FormRefusal, refusal_of
from manager.web.uploads import sentences

IMPORT_FIELDS: Final = FormFields(once=("passphrase", "skip_unusable", "confirm"), several=("files",))


async def show_import(
    page_request: PageRequest,
    template: str,
    files: Sequence[ImportFile],
    *,
    pasted: str = "",
    peers: bool = False,
) -> web.StreamResponse:
    """Import all of the files or none.

    `pasted` is text a refusal shows again, `peers` as for `import_files`.
    """
    form = page_request.form
    try:
        kept = await page_request.use_cases.certificates.import_files(
            files,
            passphrase=form.text("passphrase") or None,
            skip_unusable=form.flag("skip_unusable"),
            peers=peers,
            confirm=form.text("confirm"),
            actor=page_request.actor,
        )
    except CertcastError as error:
        return show_import_form(
            page_request, template, refusal_of(error), pasted=await page_request.shown_text(pasted)
        )
    return page_request.render_form(
        template,
        NOT_REFUSED,
        kept=kept,
        left_out=sentences(kept.left_out),
        pasted="",
        warnings=kept.warnings,
    )


def show_import_form(
    page_request: PageRequest, template: str, refusal: FormRefusal = NOT_REFUSED, *, pasted: str = ""
) -> web.Response:
    """Ask for files; `pasted` is the text pasted before."""
    return page_request.render_form(template, refusal, kept=None, left_out=(), warnings=(), pasted=pasted)
