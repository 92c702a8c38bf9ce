"""Keys, secrets of bindings and proofs: none is said by what asks a CA."""

import json
import logging

import pytest
import structlog

from manager.domain.renewal.records import ChallengeKind
from manager.usecases.renewal.ports import CaError
from tests import pki
from tests.daemon_logging import daemon_logging
from tests.fakes.hostile_ca import (
    ACCOUNT,
    ORDER,
    THING,
    json_reply,
    problem,
)
from tests.integration.acme.parts import account, asking, made, order, pending

TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def test_a_key_that_cannot_be_read_is_said_to_be_so_without_it(threads):
    for key in ("my secret key", pki.make_leaf(None).encrypted_key_pem("x")):
        with pytest.raises(CaError) as caught:
            asking(account("https://ca.example/"), threads, key=key)
        assert caught.value.message == "the account's key cannot be read"
        assert caught.value.__cause__ is None


class Kept(logging.Handler):
    def __init__(self):
        super().__init__(logging.DEBUG)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
async def test_what_the_library_would_log_of_secrets_reaches_no_log_of_ours(hostile, threads, capsys, level):
    hostile.replies[ACCOUNT] = [
        problem("accountDoesNotExist", "none"),
        json_reply({}, status=201, Location=hostile.url("/accounts/1")),
    ]
    hostile.replies[THING] = [pending(hostile, TOKEN)]
    record = account(hostile.directory_url, trust_pem=hostile.trust_pem, binding_id="kid-1")
    with daemon_logging(style="json", level=level):
        structlog.get_logger("manager.test").error("push.nacked")
        ca = asking(record, threads)
        await ca.register(binding_key="c2VjcmV0LW9mLW9uZQ")
        proof = (await ca.authorization(hostile.url(THING), ChallengeKind.HTTP)).proof
        assert proof is not None
        assert proof.response not in repr(proof)
    said = capsys.readouterr().err
    assert [json.loads(line)["event"] for line in said.splitlines()] == ["push.nacked"]


async def test_the_library_does_log_what_it_sends_to_who_listens(hostile, at_hostile):
    """Why the test above looks for nothing at all."""
    hostile.replies[ORDER] = [made(hostile)]
    logger, kept = logging.getLogger("acme"), Kept()
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    try:
        await order(at_hostile)
    finally:
        logger.removeHandler(kept)
        logger.setLevel(logging.NOTSET)
    assert any("JWS payload" in each for each in kept.said)
