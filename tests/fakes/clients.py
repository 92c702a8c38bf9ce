"""The families of existing clients: what each sends, and how each reads an answer."""

import re
from typing import Any

from tests.fakes import cli_client, sdk_client
from tests.integration.infinity_api.platform import (
    ROOT,
    Answer,
    Client,
)

JSON = {"Accept": "application/json", "Content-Type": "application/json"}


class Sdk:
    """The Go client: strict about what it reads, and sure that everything below 400 is a success."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, method: str, path: str, body: Any = None) -> Answer:
        answer = await self._client.call(
            method,
            f"{ROOT}/{path}",
            body,
            headers={"User-Agent": "Go-http-client/1.1", **(JSON if body else {})},
        )
        if answer.status >= 400:
            raise LookupError(f"API error {answer.status}: {answer.body.decode()}")
        return answer

    async def list(self, resource: str, **options: Any) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        return sdk_client.read_list(resource, (await self.send("GET", f"{resource}/?{query}")).body)[
            "objects"
        ]

    async def get(self, resource: str, number: int) -> dict[str, Any]:
        return sdk_client.read_object(resource, (await self.send("GET", f"{resource}/{number}/")).body)

    async def create(self, resource: str, body: Any) -> int:
        return sdk_client.created_id((await self.send("POST", f"{resource}/", body)).location)


class Terraform:
    """The provider: creates, reads back, and calls a difference to what was planned an inconsistency."""

    def __init__(self, client: Client, resource: str) -> None:
        self._sdk = Sdk(client)
        self._resource = f"configuration/v1/{resource}"

    async def read(self, number: int) -> dict[str, Any] | None:
        try:
            found = await self._sdk.get(self._resource, number)
        except LookupError as error:
            if re.search("404|not found|Not Found", str(error)):
                return None
            raise
        assert found["resource_uri"]
        return found

    async def create(self, planned: dict[str, Any], *, kept: set[str] = frozenset()) -> tuple[int, Answer]:
        answer = await self._sdk.send("POST", f"{self._resource}/", planned)
        number = sdk_client.created_id(answer.location)
        await self.check(number, planned, kept)
        return number, answer

    async def update(
        self, number: int, planned: dict[str, Any], *, method: str = "PATCH", kept: set[str] = frozenset()
    ) -> None:
        await self._sdk.send(method, f"{self._resource}/{number}/", planned)
        await self.check(number, planned, kept)

    async def delete(self, number: int) -> None:
        for _ in range(2):
            try:
                await self._sdk.send("DELETE", f"{self._resource}/{number}/")
            except LookupError as error:
                assert "404" in str(error)  # noqa: PT017 - the second time
        assert await self.read(number) is None

    async def check(self, number: int, planned: dict[str, Any], kept: set[str]) -> None:
        found = await self.read(number)
        assert found is not None
        for name, value in planned.items():
            if name not in kept:
                assert found[name] == ("" if value is None else value), f"inconsistent result: {name}"


class Cli:
    """The command-line client: what it can do comes from the schemas that it read before."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.schemas: dict[str, cli_client.Schema] = {}

    async def cache(self) -> None:
        for root in (
            *("command/v1/conference", "command/v1/participant", "command/v1/platform"),
            *("configuration/v1", "history/v1", "status/v1"),
        ):
            for name in cli_client.read_root(await self._client.get(f"{ROOT}/{root}/")):
                path = f"{root}/{name}"
                self.schemas[path] = cli_client.read_schema(await self._client.get(f"{ROOT}/{path}/schema/"))

    async def get(self, path: str, **flags: str) -> list[dict[str, Any]]:
        for flag in flags:
            field, _, lookup = flag.partition("__")
            assert (lookup or "exact") in self.schemas[path].filtering[field]
        at: str | None = f"{ROOT}/{path}/?limit=500&offset=0" + "".join(f"&{k}={v}" for k, v in flags.items())
        found: list[dict[str, Any]] = []
        while at is not None:
            envelope = cli_client.read_list((await self._client.call("GET", at)).body)
            found, at = found + envelope.objects, envelope.meta.next
        return found

    async def act(self, verb: str, path: str, number: int | None = None, **flags: Any) -> str:
        schema = self.schemas[path]
        assert verb in schema.allowed_detail_http_methods
        assert all(not schema.fields[name].readonly for name in flags)
        if verb == "post":
            assert schema.required_flags() <= set(flags)
        at = f"{ROOT}/{path}/" + (f"{number}/" if number is not None else "")
        answer = await self._client.call(verb.upper(), at, flags or None)
        assert 200 <= answer.status < 300, answer
        if answer.body:
            _ = answer.json
        return answer.headers.get("Location", "")
