"""Each task of the specification as an administrator does it in a browser, from a cold start to what nginx shows."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
    pkcs12,
)
from playwright.async_api import Download, Page, expect

from demo.run import ready, trusting
from demo.services import NGINX
from demo.site import DemoNode, Site, free_port
from tests import pki
from tests.browser.camera import PATIENCE_MS, chromium, watched_page
from tests.system.fleet import openssl_sees

ROOT, ISSUER = pki.current_ca("Story")
OTHER_ROOT, OTHER_ISSUER = pki.current_ca("Answering")
PASSWORD = "the-first-administrators-password"
PHRASE = "a-passphrase-for-the-download"
NOTE = "Ask Ada first.\n<script>document.title = 'taken over'</script> {{ 7 * 7 }}"
KEY_PHRASE = "a-passphrase-for-the-key"
EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
expect.set_options(timeout=PATIENCE_MS)


@asynccontextmanager
async def cold_manager() -> AsyncIterator[Site]:
    """A manager that was just installed: nobody can sign in to it yet."""
    site = Site()
    try:
        data = ("--data", str(site.data))
        await site.run("certcast-manager", "init", *data, "--name", "localhost", "--address", "127.0.0.1")
        await site.serve()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trusting())) as session:
            await ready(site, session)
        yield site
    finally:
        await site.close()


async def set_up_link(site: Site) -> str:
    log = (site.directory / "manager.log").read_text()
    (link,) = re.findall(r"https://localhost:\d+/set-up/[\w-]+", log)
    return link


async def add_node(page: Page, site: Site, name: str) -> DemoNode:
    """Add a node in the pages, and do on it what they say."""
    await page.get_by_role("link", name="Nodes", exact=True).click()
    await page.get_by_role("link", name="Add node").click()
    await page.get_by_label("Name", exact=False).first.fill(name)
    await page.get_by_label("DNS names").fill(f"{name}.example.test")
    await page.get_by_label("IP addresses").fill("127.0.0.1")
    await page.get_by_role("button", name="Add node").click()
    command = (await page.locator("#join").inner_text()).split()
    directory = site.directory / name
    node = DemoNode(
        name=name, directory=directory, data=directory / "data", port=free_port(), health=free_port()
    )
    await asyncio.to_thread(site._lay_out, node, NGINX)
    token = command[command.index("join") + 1]
    await site.run("certcast-nodeagent", "join", token, "--data", str(node.data))
    await site.start_agent(node)
    site.nodes.append(node)
    return node


async def served(node: DemoNode, root: pki.Made, name: str, chain: list[str]) -> None:
    """Wait until a client that trusts `root` gets this chain from the node's port."""
    seen: object = None
    for _ in range(300):
        seen = await openssl_sees(node, root, name=name)
        if seen == (chain, "0 (ok)"):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(seen)


def encrypted(key_pem: str) -> bytes:
    """Return a key as people keep theirs."""
    key = load_pem_private_key(key_pem.encode(), None)
    how = BestAvailableEncryption(KEY_PHRASE.encode())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


async def content(file: Download) -> bytes:
    return await asyncio.to_thread(Path(await file.path()).read_bytes)


async def said(page: Page, text: str) -> None:
    await expect(page.locator(".flash")).to_contain_text(text)


@pytest.mark.services("chromium", "nginx", "openssl")
@pytest.mark.timeout(400)
async def test_every_task_of_the_specification_from_a_cold_start(tmp_path: Path):
    leaf = pki.current_leaf(ISSUER, ["conf.example.test", "web.example.test"])
    async with (
        cold_manager() as site,
        chromium() as browser,
        watched_page(browser, f"https://localhost:{site.https}", accept_downloads=True) as page,
    ):
        # the first administrator
        await page.goto(await set_up_link(site))
        await page.get_by_label("Password", exact=False).first.fill(PASSWORD)
        await page.get_by_label("Password again").fill(PASSWORD)
        await page.get_by_role("button", name="Create administrator").click()
        await said(page, "Welcome, admin.")

        # a node, by the command that is shown
        node = await add_node(page, site, "web")
        await page.goto("/")
        await expect(page.get_by_role("link", name=re.compile(r"In sync\s+2"))).to_be_visible()

        # trusted CAs, pasted
        await page.get_by_role("link", name="Trusted CAs", exact=True).click()
        await page.get_by_role("link", name="Import files").click()
        await page.get_by_label("or paste PEM").fill(ROOT.certificate_pem + OTHER_ROOT.certificate_pem)
        await page.get_by_role("button", name="Import").click()
        await expect(
            page.get_by_role("heading", name="Imported: 0 TLS certificates, 2 trusted CAs")
        ).to_be_visible()

        # a certificate, previewed, saved, and on the port
        await page.get_by_role("link", name="TLS certificates", exact=True).first.click()
        await page.get_by_role("link", name="Add TLS certificate").click()
        await page.get_by_label("TLS certificate", exact=False).first.fill(
            leaf.certificate_pem + ISSUER.certificate_pem
        )
        await page.locator("#private_key_file").set_input_files(
            {"name": "leaf.key", "mimeType": "text/plain", "buffer": encrypted(leaf.key_pem)}
        )
        await page.get_by_label("Private key passphrase").fill(KEY_PHRASE)
        await page.locator("summary", has_text="TLS parameters").click()
        await page.locator("#parameters").fill(EC_PARAMETERS)
        await page.get_by_label("web", exact=False).check()
        await page.get_by_role("button", name="Preview").click()
        preview = page.get_by_role("region", name="Preview")
        await expect(preview).to_contain_text("The private key pairs with conf.example.test")
        await expect(preview).to_contain_text("A strict client would accept it now.")
        # the form still has everything, the key among it
        await page.get_by_role("button", name="Save").click()
        await said(page, "Added conf.example.test. It goes to 1 node now.")
        await served(node, ROOT, "conf.example.test", ["CN = conf.example.test", "CN = Story Issuing"])

        # a live push
        await page.get_by_role("link", name="Fleet", exact=True).click()
        await expect(page.locator("#pushes")).to_contain_text("applied")
        await page.get_by_role("button", name="Push to all nodes").click()
        await said(page, "Nothing was pushed.")

        # a note for colleagues, in which nothing is markup
        await page.goto("/certificates")
        await page.get_by_role("link", name="conf.example.test").click()
        await page.get_by_role("link", name="Edit", exact=True).click()
        await page.get_by_label("Note").fill(NOTE)
        await page.get_by_role("button", name="Save").click()
        await said(page, "Saved.")
        await expect(page.locator("p.lines")).to_have_text(NOTE)

        # a request for it, answered, with its nodes handed over
        await page.goto("/certificates")
        await page.get_by_role("link", name="conf.example.test").click()
        await page.get_by_role("link", name="Create CSR").click()
        await page.get_by_label("Subject alternative names").fill(
            "conf.example.test\nmeet.example.test\nweb.example.test"
        )
        await page.get_by_role("button", name="Create CSR").click()
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Download CSR").click()
        file = await waiting.value
        assert file.suggested_filename == "conf.example.test_request.csr"
        signed = pki.sign_request(OTHER_ISSUER, (await content(file)).decode())
        await page.get_by_label("Signed certificate").fill(signed)
        await page.get_by_role("button", name="Save").click()
        # the chain was complete until now, and the page says so before it does anything
        await expect(page.get_by_role("alert")).to_contain_text("Not saved yet")
        await page.get_by_role("button", name="Save anyway").click()
        await said(page, "It goes to 1 node now.")
        await page.get_by_role("link", name="Trusted CAs", exact=True).click()
        await page.goto("/certificates/by-node")
        await expect(page.get_by_role("row", name=re.compile("web"))).to_contain_text("Incomplete")

        # files: the missing intermediate and another certificate, in one import
        other = pki.current_leaf(ISSUER, ["other.example.test", "web.example.test"])
        await page.goto("/certificates/import")
        await page.get_by_label("Files").set_input_files(
            [
                {"name": "ca.pem", "mimeType": "text/plain", "buffer": OTHER_ISSUER.certificate_pem.encode()},
                {"name": "leaf.pem", "mimeType": "text/plain", "buffer": other.certificate_pem.encode()},
                {"name": "leaf.key", "mimeType": "text/plain", "buffer": other.key_pem.encode()},
            ]
        )
        await page.get_by_role("button", name="Import").click()
        await expect(
            page.get_by_role("heading", name="Imported: 1 TLS certificate, 1 trusted CA")
        ).to_be_visible()
        await page.goto("/certificates/by-node")
        await expect(page.get_by_role("row", name=re.compile("web"))).to_contain_text("Complete")

        # a certificate's nodes and its PEM text, changed
        await page.goto("/certificates?search=other")
        await page.get_by_role("link", name="other.example.test").click()
        await page.get_by_role("link", name="Edit").click()
        await page.get_by_label("web", exact=False).check()
        await page.locator("summary", has_text="PEM-formatted data").click()
        await page.locator("#certificate").fill(other.certificate_pem + ISSUER.certificate_pem)
        await page.locator("#parameters").fill(EC_PARAMETERS)
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_contain_text("meet.example.test")
        await page.get_by_role("button", name="Save anyway").click()
        await said(page, "Saved.")
        await page.locator("summary", has_text="TLS parameters").click()
        await expect(page.get_by_label("TLS parameters")).to_contain_text("BggqhkjOPQMBBw==")
        await served(node, ROOT, "other.example.test", ["CN = other.example.test", "CN = Story Issuing"])

        # downloads: with the key as PKCS#12, and several into one file
        await page.get_by_role("link", name="Download").click()
        await page.get_by_label("the private key").check()
        await page.get_by_label(re.compile("^Passphrase for")).fill(PHRASE)
        await page.get_by_label("Passphrase again").fill(PHRASE)
        await page.get_by_label("PKCS#12 (PFX)").check()
        async with page.expect_download() as waiting:
            await page.get_by_role("button", name="Download").click()
        file = await waiting.value
        assert file.suggested_filename == "other.example.test_keycert.pfx"
        key, _, _ = pkcs12.load_key_and_certificates(await content(file), PHRASE.encode())
        assert key.private_numbers() == load_pem_private_key(other.key_pem.encode(), None).private_numbers()
        await page.goto("/certificates?search=conf.example")
        await page.get_by_label("Select all on this page").check()
        await expect(page.locator("#ticked")).to_have_text("2 selected")
        await page.get_by_role("button", name="Download selected").click()
        async with page.expect_download() as waiting:
            await page.get_by_role("button", name="Download", exact=True).click()
        assert (await waiting.value).suggested_filename == "all_certificates.pem"

        # deleting, after it was said what that breaks
        await page.goto("/certificates?search=other")
        await page.get_by_label("Select other.example.test").check()
        await page.get_by_role("button", name="Delete selected").click()
        await expect(page.locator(".note")).to_contain_text("1 of them is in use.")
        await page.get_by_role("button", name="Delete 1 certificate").click()
        await said(page, "1 node now without")

        # trusted CAs: export, edit, delete
        await page.goto("/trusted-cas")
        async with page.expect_download() as waiting:
            await page.get_by_role("link", name="Export all").click()
        assert (await waiting.value).suggested_filename == "ca-certificates.pem"
        await page.get_by_role("link", name="Story Root").click()
        await page.get_by_role("link", name="Edit").click()
        await page.get_by_label("CA certificate", exact=False).first.fill(f"our own\n{ROOT.certificate_pem}")
        await page.get_by_role("button", name="Save").click()
        await said(page, "Saved.")
        await page.get_by_role("link", name="Delete").click()
        await expect(page.locator("main")).to_contain_text(
            "1 TLS certificate may be left with an incomplete chain"
        )
        await page.get_by_role("button", name="Delete 1 trusted CA").click()
        await said(page, "every node drops them")

        # an alarm says that the node has none, until it is given the first one again
        await page.goto("/")
        await expect(page.get_by_text("Node has no TLS certificate")).to_be_visible()
        await page.goto("/certificates")
        await page.get_by_role("link", name="conf.example.test").first.click()
        await page.get_by_role("link", name="Edit").click()
        await page.get_by_label("web", exact=False).check()
        await page.get_by_role("button", name="Save").click()
        await served(node, ROOT, "conf.example.test", ["CN = conf.example.test", "CN = Story Issuing"])

        # and out, from a page that asks for nothing by itself
        await page.goto("/help")
        await page.get_by_role("button", name="Sign out").first.click()
        await said(page, "You are signed out.")
