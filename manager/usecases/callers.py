"""Callers of the APIs: identifying them, and checking them again during a long answer.

Invariant: a caller is identified by its credential's hash, so checking again needs no password and affects no
throttling.
"""

from common.codes import Role
from common.errors import AccessError, NotFoundError
from manager.domain.callers import Caller, Credential, check_allowed, check_may_provision
from manager.usecases.clients import ClientUseCases
from manager.usecases.connections import ClientConnection
from manager.usecases.context import Context
from manager.usecases.rights import Rights
from manager.usecases.users import UserUseCases


class CallerUseCases:
    def __init__(self, context: Context, users: UserUseCases, clients: ClientUseCases) -> None:
        self._context = context
        self._users = users
        self._clients = clients

    async def by_password(
        self, name: str, password: str, *, address: str, connection: ClientConnection | None
    ) -> Caller:
        """Return the user that these credentials authenticate. Raises AccessError."""
        proof = await self._users.passwords.prove(name, password, address=address, connection=connection)
        return Caller(user=proof.user, credential=Credential.PASSWORD, proof=proof.hashed)

    async def again(self, caller: Caller) -> Caller:
        """Return the same caller with its current rights.

        Raises AccessError if its credential is no longer valid.
        """
        found: Caller | None = None
        match caller.credential:
            case Credential.PASSWORD:
                found = await self._by_hash(caller)
            case Credential.API_TOKEN:
                found = await self._users.find_token(caller.proof)
            case Credential.ACCESS_TOKEN:
                found = await self._clients.find_token(caller.proof)
        if found is None:
            raise AccessError("the credentials of this request are no longer valid")
        return found

    def rights(
        self, caller: Caller, needed: Role, *, pushes: bool = False, provisions: bool = False
    ) -> Rights:
        """Check a caller's rights during a long answer."""

        async def check() -> None:
            now = await self.again(caller)
            check_allowed(now, needed, pushes=pushes)
            if provisions:
                check_may_provision(now)

        return Rights(self._context, check)

    async def _by_hash(self, caller: Caller) -> Caller | None:
        try:
            user, hashed = await self._context.store.users.get(caller.user.name)
        except NotFoundError:
            return None
        if (user.id, hashed) != (caller.user.id, caller.proof):
            return None
        return Caller(user=user, credential=Credential.PASSWORD, proof=hashed)
