"""From a client's call to the port: what each family of clients changes is what nginx serves on a real node, and their status says so."""

import hashlib
import json
from typing import Any

import pytest

from demo.services import NGINX
from tests import pki
from tests.fakes import sdk_client
from tests.system.fleet import RealFleet, openssl_sees, real_fleet

ROOT, ISSUER = pki.current_ca("System")
API = "/api/admin"
CONFIGURATION = f"{API}/configuration/v1"


class Caller:
    """Calls the management API of a real manager."""

    def __init__(self, fleet: RealFleet) -> None:
        self._fleet = fleet

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[Any, bytes]:
        url = f"{self._fleet.site.url}{path}"
        async with self._fleet.session.request(method, url, json=body, **more) as answer:
            data = await answer.read()
            assert answer.status < 300, (method, path, answer.status, data)
            return answer, data

    async def post(self, path: str, body: Any) -> str:
        answer, _ = await self.call("POST", path, body)
        return str(answer.headers["Location"])

    async def list(self, resource: str, **query: str) -> list[dict[str, Any]]:
        _, data = await self.call("GET", f"{API}/{resource}/", params=query)
        return list(sdk_client.read_list(resource, data)["objects"])


def upload(made: pki.Made) -> dict[str, str]:
    return {"certificate": made.certificate_pem + ISSUER.certificate_pem, "private_key": made.key_pem}


@pytest.mark.services("nginx", "openssl")
async def test_what_each_family_of_clients_changes_is_served_and_reported():
    async with real_fleet() as fleet:
        caller = Caller(fleet)
        location = await caller.post(f"{CONFIGURATION}/system_location/", {"name": "Oslo"})
        body = {
            "name": "web",
            "hostname": "web",
            "domain": "demo.test",
            "address": "127.0.0.1",
            "netmask": "255.0.0.0",
            "gateway": "127.0.0.1",
            "system_location": location,
        }
        created, data = await caller.call("POST", f"{CONFIGURATION}/worker_vm/", body)
        node = created.headers["Location"]
        web = await fleet.site.join_node("web", json.loads(data)["join_token"], NGINX)

        async def served(made: pki.Made) -> None:
            await fleet.until_served(hashlib.sha256(made.certificate_der).hexdigest(), "web")
            (status,) = await caller.list("status/v1/worker_vm", name="web")
            assert (status["sync_status"], status["system_location"]) == ("SYNCED", "Oslo")
            assert status["last_updated"] is not None
            updates.append(status["last_updated"])

        updates: list[str] = []

        # the SDK: a new certificate, and a PUT of the node with it
        made = leaf()
        at = await caller.post(f"{CONFIGURATION}/tls_certificate/", upload(made))
        await caller.call("PUT", node, {**body, "tls_certificate": at})
        await served(made)

        # Terraform: the same entry with another certificate and key
        made = leaf()
        await caller.call("PATCH", at, upload(made))
        await served(made)

        # the command-line client: an upload that names its nodes, without the last line's end
        made = leaf()
        flags = {name: text.rstrip() for name, text in upload(made).items()}
        await caller.post(f"{CONFIGURATION}/tls_certificate/", {**flags, "nodes": ["web.demo.test"]})
        await served(made)

        # the renewal script: an import, found by name and fingerprint, assigned
        made = leaf()
        bundle = made.certificate_pem + ISSUER.certificate_pem + made.key_pem
        await caller.call("POST", f"{API}/command/v1/platform/certificates_import/", {"bundle": bundle})
        (found,) = [
            each
            for each in await caller.list("configuration/v1/tls_certificate", subject_name="web.demo.test")
            if each["certificate"].startswith(made.certificate_pem)
        ]
        await caller.call("PATCH", node, {"tls_certificate": found["resource_uri"]})
        await served(made)

        assert updates == sorted(updates)
        subjects, verdict = await openssl_sees(web, ROOT, name="web.demo.test")
        assert (subjects, verdict) == (["CN = web.demo.test", "CN = System Issuing"], "0 (ok)")


def leaf() -> pki.Made:
    return pki.current_leaf(ISSUER, ["web.demo.test"])
