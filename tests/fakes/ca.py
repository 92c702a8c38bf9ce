"""A CA in memory as one account asks it. Implements `manager.usecases.renewal.ports.Ca` and `Cas`."""

from collections.abc import Sequence
from dataclasses import dataclass

from manager.domain.renewal.records import AccountRecord, ChallengeKind, Proof
from manager.usecases.renewal.ports import Authorization, CaError, Directory, Ordered, Suggested
from tests.fakes.ca_server import CaServer, ModelOrder


@dataclass(frozen=True)
class ModelCa:
    server: CaServer
    account: AccountRecord
    key_pem: str

    async def directory(self) -> Directory:
        self.server.enter("directory")
        return Directory(
            terms_url="https://ca/terms",
            website="",
            profiles=self.server.profiles,
            needs_binding=self.server.needs_binding,
            has_renewal_info=self.server.has_renewal_info,
        )

    async def register(self, *, binding_key: str) -> str:
        self.server.enter("register")
        url = self.server.accounts.setdefault(
            self.key_pem, f"https://ca/account/{len(self.server.accounts) + 1}"
        )
        self.server.leave("register")
        return url

    async def find_account(self) -> str:
        self._enter("find_account")
        return self.server.accounts[self.key_pem]

    async def update_contact(self, contact: Sequence[str]) -> None:
        self._enter("update_contact")

    async def change_key(self, new_key_pem: str) -> None:
        self._enter("change_key")
        self.server.accounts[new_key_pem] = self.server.accounts.pop(self.key_pem)
        self.server.leave("change_key")

    async def deactivate(self) -> None:
        self.server.enter("deactivate")
        self.server.accounts.pop(self.key_pem, None)
        self.server.leave("deactivate")

    async def order(self, names: Sequence[str], *, profile: str, replaces: str) -> Ordered:
        self._enter("order")
        made = self.server.begin(self.server.accounts[self.key_pem], tuple(names), profile, replaces)
        self.server.leave("order")
        return self._ordered(made)

    async def find_order(self, names: Sequence[str], *, profile: str) -> Ordered | None:
        self._enter("find_order")
        if not self.server.lists_orders:
            return None
        made = self.server.pending(self.server.accounts[self.key_pem], names, profile)
        return None if made is None else self._ordered(made)

    async def look(self, order_url: str) -> Ordered:
        self._enter("look")
        made = self.server.orders[order_url]
        if made.status == "processing" and self.server.now() >= made.ready_s:
            made.chain, made.status = self.server.sign(made), "valid"
        self.server.leave("look")
        return self._ordered(made)

    async def authorization(self, url: str, kind: ChallengeKind) -> Authorization:
        self._enter("authorization")
        made = self.server.by_authorization[url]
        name, number = url.rpartition("/")[2], url.split("/")[-2]
        self._judge(made, url)
        proof = made.proofs.setdefault(
            url,
            Proof(
                name=name,
                authorization_url=url,
                challenge_url=url,
                token=f"token-{number}",
                response=f"token-{number}.thumb",
            ),
        )
        status = made.proven[url].partition(" ")[0]
        is_shown = status in {"pending", "looking"}
        return Authorization(
            url=url,
            name=name,
            status="pending" if is_shown else status,
            proof=proof if is_shown else None,
            type="unauthorized" if status == "invalid" else "",
            message=made.message,
        )

    async def answer(self, proof: Proof) -> None:
        self._enter("answer")
        made = self.server.by_authorization[proof.authorization_url]
        if made.proven[proof.authorization_url] == "pending":
            done_s = self.server.now() + self.server.validation_s
            made.proven[proof.authorization_url] = f"looking {done_s}"
        self.server.leave("answer")

    async def finalize(self, finalize_url: str, request_pem: str) -> None:
        self._enter("finalize")
        made = self.server.orders[finalize_url.removesuffix("/finalize")]
        if made.status != "ready":
            raise CaError("the CA refused the request", type="orderNotReady", is_final=True)
        made.request_pem = request_pem
        made.ready_s = self.server.now() + self.server.processing_s
        made.status = "processing"
        self.server.leave("finalize")

    async def download(self, certificate_url: str) -> Sequence[str]:
        self._enter("download")
        chain = self.server.orders[certificate_url.removesuffix("/certificate")].chain
        self.server.leave("download")
        return [chain]

    async def suggested(self, ari_id: str) -> Suggested | None:
        self.server.note_asked_window(ari_id)
        self._enter("suggested")
        window = self.server.windows.get(ari_id) if self.server.has_renewal_info else None
        if window is None:
            return None
        self.server.told[ari_id] = (window, self.server.now())
        return Suggested(window=window, why="", retry_after_s=self.server.poll_at_s)

    def _judge(self, made: ModelOrder, url: str) -> None:
        """Look at what is shown, once it is time."""
        state, _, done_s = made.proven[url].partition(" ")
        if state != "looking" or self.server.now() < float(done_s) or made.status != "pending":
            return
        proof = made.proofs[url]
        if proof.name in self.server.unprovable or not self.server.showing.shows(proof, float(done_s)):
            made.proven[url] = "invalid"
            self.server.spoil_order(made, f"what was found for {proof.name} is not the proof")
            return
        made.proven[url] = "valid"
        if set(made.proven.values()) == {"valid"}:
            made.status = "ready"

    def _enter(self, act: str) -> None:
        self.server.enter(act)
        if self.key_pem not in self.server.accounts:
            raise CaError("the CA knows no such account", type="accountDoesNotExist", is_final=True)

    def _ordered(self, made: ModelOrder) -> Ordered:
        return Ordered(
            url=made.url,
            status=made.status,
            finalize_url=f"{made.url}/finalize",
            authorization_urls=list(made.proven),
            certificate_url=f"{made.url}/certificate" if made.status == "valid" else "",
            type="unauthorized" if made.status == "invalid" else "",
            message=made.message,
        )


@dataclass
class ModelCas:
    """`server` is the CA, `staging` the one for tests."""

    server: CaServer
    staging: CaServer

    async def ca(self, account: AccountRecord, key_pem: str, *, is_test: bool) -> ModelCa:
        return ModelCa(self.staging if is_test else self.server, account, key_pem)
