"""Session with a CA: requests signed by an account's key, one at a time, over one HTTP session (RFC 8555 6).

Decides how often a request is repeated after its nonce was refused. Belongs to one thread at a time; `end`
may be called from any. Invariant: failures of the library and of the network come out as CaError.
"""

import contextlib
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import acme.errors
import requests
from acme.client import ClientNetwork
from acme.messages import Registration, RegistrationResource
from josepy.errors import Error as JoseError
from josepy.interfaces import JSONDeSerializable
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from manager.acme.answers import Answer, Endpoints, checked_url, links, read_directory
from manager.acme.keys import AccountKey, Payload
from manager.acme.refusals import RefusedError, retry_after_s, to_known_account
from manager.acme.transport import Transport
from manager.usecases.renewal.ports import CaError

NONCE_TRIES: Final = 10
"""How often a request is signed again after a bad nonce. A CA that refuses every fifth nonce refuses ten in a
row once in ten million."""


@dataclass(slots=True)
class Signer:
    """The account that signs: its key, and its address at the CA, "" until that is known."""

    key: AccountKey = field(repr=False)
    account_url: str


@dataclass(frozen=True, slots=True)
class CaResponse:
    """A CA's successful answer. `location` is the address of what was created, "" if none is named."""

    ca: str
    body: bytes = field(repr=False)
    location: str
    retry_after_s: float | None
    link: str | None = None

    def read(self) -> Answer:
        """Decode the answer as a JSON object."""
        return Answer.read(self.ca, self.body)

    def created_url(self) -> str:
        """Return the address of what was created, which the CA must name."""
        return checked_url(self.ca, self.location, "Location")

    def links(self, relation: str) -> tuple[str, ...]:
        """Return the linked addresses with this relation."""
        return tuple(links(self.ca, self.link, relation))


def _host(directory_url: str) -> str:
    """Return the host of a directory, which names the CA in messages. Raises CaError."""
    try:
        host = parse_url(directory_url).host
    except LocationParseError:
        host = None
    if not host:
        raise CaError("the account's directory is no address that can be asked", is_final=True)
    return host


class CaSession:
    """One session at the CA with this directory, verified by `context`.

    `clock` is the wall clock, in unix seconds.
    """

    def __init__(
        self, directory_url: str, *, context: ssl.SSLContext, signer: Signer, clock: Callable[[], float]
    ) -> None:
        self.ca = _host(directory_url)
        self._directory_url = checked_url(self.ca, directory_url, "directory")
        self._clock = clock
        self._signer = signer
        self._endpoints: Endpoints | None = None
        self._transport = Transport(context, clock=clock)
        self._network = ClientNetwork(user_agent=f"Certcast/{version('certcast')}")
        self._network.session.close()
        self._network.session = self._session()

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        # only mounted schemes can be requested: no http://
        session.adapters.clear()
        session.mount("https://", self._transport)
        session.headers["Accept-Encoding"] = "identity"
        return session

    def end(self) -> None:
        """Make the running request, and each later one, fail at once."""
        self._transport.end()

    def endpoints(self) -> Endpoints:
        """Return the CA's directory, which is fetched once."""
        return self._endpoints if self._endpoints is not None else self.look_up()

    def look_up(self) -> Endpoints:
        """Fetch the CA's directory."""
        self._endpoints = read_directory(self.get(self._directory_url).read())
        return self._endpoints

    def get(self, url: str) -> CaResponse:
        """Send an unsigned request."""
        checked_url(self.ca, url, "address")
        with self._translated():
            return self._response(self._network.get(url, content_type=""))

    def post(
        self, url: str, payload: JSONDeSerializable | None, *, key: AccountKey | None = None
    ) -> CaResponse:
        """Send a request signed by the account, or by a key alone (RFC 8555 6.2).

        A payload of None reads a resource (6.3).
        """
        checked_url(self.ca, url, "address")
        new_nonce_url = self.endpoints().new_nonce
        account = "" if key is not None else self.account_url()
        signed = key or self._signer.key
        self._network.key, self._network.alg = signed.jwk, signed.algorithm
        self._network.account = RegistrationResource(uri=account, body=Registration()) if account else None
        tries = 0
        while True:
            tries += 1
            try:
                with self._translated():
                    return self._response(self._network.post(url, payload, new_nonce_url=new_nonce_url))
            except RefusedError as error:
                if error.type == "badNonce" and tries < NONCE_TRIES:
                    continue
                # a key alone may not have an account yet
                raise error if key is not None else self.to_known_account(error) from None

    def find_account(self, key: AccountKey) -> str:
        """Return the address of a key's account (RFC 8555 7.3.1). Raises RefusedError accountDoesNotExist."""
        payload = Payload({"onlyReturnExisting": True})
        return self.post(self.endpoints().new_account, payload, key=key).created_url()

    def to_known_account(self, error: RefusedError) -> RefusedError:
        """Return the CA's refusal of a known account, with the address of its terms."""
        named: tuple[str, ...] = ()
        with contextlib.suppress(CaError):
            named = tuple(links(self.ca, error.link, "terms-of-service"))
        terms_url = named[0] if named else self.endpoints().offered.terms_url
        return to_known_account(error, terms_url=terms_url)

    def account_url(self) -> str:
        """Return the account's address; if unknown, the CA is asked for it once."""
        if not self._signer.account_url:
            self._signer.account_url = self.find_account(self._signer.key)
        return self._signer.account_url

    def _response(self, response: requests.Response) -> CaResponse:
        return CaResponse(
            ca=self.ca,
            body=response.content,
            location=response.headers.get("Location", ""),
            retry_after_s=retry_after_s(response.headers.get("Retry-After"), now_s=self._clock()),
            link=response.headers.get("Link"),
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (acme.errors.Error, JoseError, requests.RequestException, RecursionError) as error:
            # without the error's text, which may quote headers
            raise CaError(f"{self.ca} sent an answer that cannot be read ({type(error).__name__})") from error
