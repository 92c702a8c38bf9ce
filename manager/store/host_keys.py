"""Host keys of the manager: the one that it presents, and the other one during a replacement."""

from typing import Final, get_args

from common.codes import HostKeyState
from common.errors import NotFoundError, StorageError
from manager.store.meta import HOST_KEY, Meta

OTHER_HOST_KEY: Final = "ssh-host-key-other"
STATE: Final = "host-key-state"
SINCE: Final = "host-key-since"


class HostKeyStore:
    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    async def read(self) -> tuple[HostKeyState, bytes, bytes | None]:
        """Return the state, the presented key, and the other one.

        Raises NotFoundError if there is no host key.
        """
        presented, other = await self._meta.secret_get(HOST_KEY), await self._meta.secret_get(OTHER_HOST_KEY)
        if presented is None:
            raise NotFoundError("the store has no host key; was its initialisation interrupted?")
        kept = ((await self._meta.get(STATE)) or b"steady").decode()
        for state in get_args(HostKeyState):
            if state == kept and (other is None) == (state == "steady"):
                return state, presented, other
        raise StorageError(
            f"the store's host keys are in the state '{kept}', which this manager does not know"
        )

    async def keep(self, state: HostKeyState, presented: bytes, other: bytes | None) -> None:
        """Store all three; call it within a transaction, so that no part is stored alone."""
        await self._meta.secret_set(HOST_KEY, presented)
        if other is None:
            await self._meta.secret_remove(OTHER_HOST_KEY)
        else:
            await self._meta.secret_set(OTHER_HOST_KEY, other)
        await self._meta.set(STATE, state.encode())

    async def since_s(self) -> float:
        """Return since when the key has been presented; 0 since the store was made, or an earlier release."""
        return float(await self._meta.get(SINCE) or 0.0)

    async def keep_since(self, now_s: float) -> None:
        """Record that another key is presented from now on."""
        await self._meta.set(SINCE, repr(now_s).encode())
