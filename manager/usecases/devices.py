"""Known devices: browsers in which a user has signed in before, which failures elsewhere do not affect.

Verifies the device cookie. Invariant: a device belongs to one user. It proves only that the user signed in
there with the current password, so a new password invalidates it. The manager stores a key, and nothing about
any device.
"""

import base64
import hashlib
import hmac
import secrets
from typing import Final

from manager.usecases.context import Context

DEVICE_S: Final = 90 * 86400.0
"""Time since the last sign-in for which a device is known."""

KEY_BYTES: Final = 32
COOKIE_MAX: Final = 128
_KEPT: Final = "device-key"
_NONCE_BYTES: Final = 16


class Devices:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._key = b""

    async def issue(self, name: str, password_hash: str) -> str:
        """Return the browser's new device cookie, which replaces the previous one."""
        nonce = secrets.token_hex(_NONCE_BYTES)
        made_s = int(self._context.clock())
        return f"{made_s}.{nonce}.{await self._mac(name, password_hash, made_s, nonce)}"

    async def recognise(self, cookie: str, name: str, password_hash: str) -> str | None:
        """Return this device's source for this user, None if it is not a known device of the user."""
        made, _, rest = cookie[: COOKIE_MAX + 1].partition(".")
        nonce, _, mac = rest.partition(".")
        if len(cookie) > COOKIE_MAX or not (made.isascii() and made.isdecimal()):
            return None
        expected = await self._mac(name, password_hash, int(made), nonce)
        if not hmac.compare_digest(mac.encode(errors="replace"), expected.encode()):
            return None
        # an absolute date, because a device outlives the process; setting the clock back only makes it last
        # longer
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
