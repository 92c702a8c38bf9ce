"""Known devices: browsers in which a user has signed in before, so that strangers' failures do not concern them.

Decides whether a cookie proves that. Invariant: a device is one user's; it proves nothing but that the user signed in there with the
password that is still the user's, so a new password ends it. The manager keeps a key, and nothing of any device.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

from manager.usecases.context import Context

DEVICE_S: Final = 90 * 86400.0
"""How long a device is known after the last sign-in there."""

KEY_BYTES: Final = 32
COOKIE_MAX: Final = 128
_KEPT: Final = "device-key"
_NONCE_BYTES: Final = 16


class Devices:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._key = b""

    async def issue(self, name: str, password_hash: str) -> str:
        """Return what a browser keeps from now on, in place of what it kept before."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        made_s = int(self._context.clock())
        return f"{made_s}.{nonce}.{await self._mac(name, password_hash, made_s, nonce)}"

    async def recognise(self, cookie: str, name: str, password_hash: str) -> str | None:
        """Return the source that this device is for this user, None if it is not known as this user's."""
        made, _, rest = cookie[: COOKIE_MAX + 1].partition(".")
        nonce, _, mac = rest.partition(".")
        if len(cookie) > COOKIE_MAX or not (made.isascii() and made.isdecimal()):
            return None
        expected = await self._mac(name, password_hash, int(made), nonce)
        if not hmac.compare_digest(mac.encode(errors="replace"), expected.encode()):
            return None
        # an absolute date, because a device outlives the process; a clock that goes back makes it last longer, and proves no more
        if int(made) + DEVICE_S < self._context.clock():
            return None
        return f"device {nonce}"

    async def _mac(self, name: str, password_hash: str, made_s: int, nonce: str) -> str:
        parts = (
            name.encode(errors="replace"),
            password_hash.encode(),
            str(made_s).encode(),
            nonce.encode(errors="replace"),
        )
        digest = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
        made = hmac.digest(await self._own_key(), digest, "sha256")
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    async def _own_key(self) -> bytes:
        if not self._key:
            meta = self._context.store.meta
            async with self._context.store.transaction():
                kept = await meta.secret_get(_KEPT)
                if kept is None:
                    kept = secrets.token_bytes(KEY_BYTES)
                    await meta.secret_set(_KEPT, kept)
            self._key = kept
        return self._key
