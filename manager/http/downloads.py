"""Download responses."""

from typing import Final

from aiohttp import web

from manager.pki.write.export import Download

PEM_FILE: Final = "application/x-pem-file"
PFX_FILE: Final = "application/x-pkcs12"


def attachment(made: Download) -> web.Response:
    """Return a file as an answer. Its name contains no character that could break the header."""
    kind = PEM_FILE if made.name.endswith(".pem") else PFX_FILE
    headers = {"Content-Disposition": f'attachment; filename="{made.name}"', "Cache-Control": "no-store"}
    return web.Response(body=made.content, content_type=kind, headers=headers)
