"""Import pages: taking a batch of files, and showing what became of it or why nothing was taken."""

from collections.abc import Sequence

from aiohttp import web

from common.errors import CertcastError
from manager.domain.consequences import ConfirmationNeededError
from manager.http.errors import status_of
from manager.pki.read.batch import ImportFile
from manager.web.pagerequest import PageRequest
from manager.web.uploads import findings_of, sentences


async def show_import(
    page_request: PageRequest,
    template: str,
    files: Sequence[ImportFile],
    *,
    pasted: str = "",
    peers: bool = False,
) -> web.StreamResponse:
    """Take all of the files or nothing; `pasted` is text that a refusal shows again, `peers` as for `import_files`."""
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
        asked = error if isinstance(error, ConfirmationNeededError) else None
        return page_request.render(
            template,
            status=status_of(error),
            problems=[] if asked is not None else findings_of(error),
            kept=None,
            left_out=(),
            warnings=(),
            pasted=await page_request.shown_text(pasted),
            asked=asked,
        )
    return page_request.render(
        template,
        problems=[],
        kept=kept,
        left_out=sentences(kept.left_out),
        pasted="",
        asked=None,
        warnings=kept.warnings,
    )
