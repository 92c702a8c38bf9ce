"""Static files of the pages: style sheet, scripts, icon. Read once at start, named by their content.

They are served from memory. Invariant: a browser keeps a file for a year, and fetches it again when its
content changes.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aiohttp import web

DIRECTORY: Final = Path(__file__).parent / "static"
_TYPES: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".txt": "text/plain"}
_YEAR: Final = "public, max-age=31536000, immutable"


class StaticFiles:
    def __init__(self, directory: Path = DIRECTORY) -> None:
        self._files: Mapping[str, bytes] = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in directory.rglob("*")
            if path.suffix in _TYPES
        }
        self._marks = {
            name: hashlib.sha256(content).hexdigest()[:12] for name, content in self._files.items()
        }

    def url(self, name: str) -> str:
        """Return a file's address, which depends on its content."""
        return f"/static/{name}?v={self._marks[name]}"

    async def show(self, request: web.Request) -> web.Response:
        """Return a file."""
        name = request.match_info["name"]
        content = self._files.get(name)
        if content is None:
            return web.Response(status=404, text="there is no such file")
        current = request.query.get("v") == self._marks[name]
        return web.Response(
            body=content,
            content_type=_TYPES[Path(name).suffix],
            charset="utf-8",
            headers={"Cache-Control": _YEAR if current else "no-cache"},
        )
