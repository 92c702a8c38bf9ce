"""Records that a command changes: what it is given, what it may see, and what is told of one that fails."""

import pytest

from manager.dns import hooks
from manager.dns.hooks import OUTPUT_SHOWN_MAX_CHARS
from manager.dns.settings import DnsSettings
from manager.dns.showing import DnsShowing
from tests.bind import NEEDED
from tests.integration.agent_parts import script
from tests.integration.dns.conftest import UNTIL_S, Zones, proof, refusal

pytestmark = NEEDED

RECORD = "_acme-challenge.example.com"


@pytest.fixture
def place(zones: Zones, tmp_path):
    """Let `example.com` be changed by a command of this text; return what shows proofs there."""
    zones.serve()
    zones.primary.start()

    def made(text: str, **more) -> DnsShowing:
        program = str(script(tmp_path / "change", text))
        zone = {
            "names": ["example.com"],
            "present": [program, "present"],
            "cleanup": [program, "cleanup"],
            **more,
        }
        return DnsShowing(DnsSettings(resolvers=(zones.primary.address,), zone=(zone,)))

    return made


async def test_a_command_is_given_the_records_name_and_its_text_and_no_environment(
    place, tmp_path, monkeypatch
):
    monkeypatch.setenv("CERTCAST_PASSWORD", "secret")
    showing = place(f'printf "%s\\n" "$*" >> {tmp_path}/told; env > {tmp_path}/env; pwd >> {tmp_path}/env')
    proofs = [proof("example.com", "-one"), proof("*.example.com", "two; $(id)")]
    await showing.place(proofs, until_s=UNTIL_S)
    await showing.remove(proofs[:1])
    assert (tmp_path / "told").read_text().splitlines() == [
        f"present {RECORD} -one",
        f"present {RECORD} two; $(id)",
        f"cleanup {RECORD} -one",
    ]
    seen = (tmp_path / "env").read_text()
    assert "secret" not in seen
    assert seen.splitlines()[-1] == "/"
    assert (tmp_path / "told").stat().st_mode & 0o077 == 0


@pytest.mark.services("ip", "named", "nsupdate", "root")
async def test_what_a_command_wrote_is_seen_at_the_servers(place, zones: Zones, tmp_path):
    """The command is one that an administrator would write, with BIND's own program."""
    showing = place(
        f'[ "$1" = present ] && how="add $2 60 TXT" || how="delete $2 TXT"\n'
        f'printf "server {zones.primary.address}\\nupdate $how \\"$3\\"\\nsend\\n" | nsupdate -k {zones.key_file}'
    )
    proofs = [proof("example.com")]
    await showing.place(proofs, until_s=UNTIL_S)
    assert await showing.missing(proofs) == []
    await showing.remove(proofs)
    assert zones.primary.texts(RECORD) == []


async def test_a_command_that_fails_is_told_with_what_it_printed_and_the_others_are_run(place, tmp_path):
    showing = place(f'echo "$2" >> {tmp_path}/told; printf "no such\\033[31m zone\\nask $2\\n" >&2; exit 3')
    error = await refusal(showing.place([proof("example.com"), proof("a.example.com")], until_s=UNTIL_S))
    assert error.message == (
        f"the command {tmp_path}/change for {RECORD} failed with exit status 3; it printed: no such�[31m zone / ask {RECORD}"
    )
    assert len((tmp_path / "told").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("exit 1", "failed with exit status 1; it printed nothing"),
        ("kill -9 $$", "failed with signal 9; it printed nothing"),
        ("echo waiting; exec sleep 600", "did not end within 1 s and was killed; it printed: waiting"),
    ],
)
async def test_how_a_command_ended_is_told(place, text, said):
    error = await refusal(place(text, timeout_seconds=1).place([proof("example.com")], until_s=UNTIL_S))
    assert error.message.endswith(said)


async def test_of_a_talkative_command_the_end_is_shown_and_no_private_key(place):
    long = "head -c 100000 /dev/zero | tr '\\0' x; exit 1"
    error = await refusal(place(long).place([proof("example.com")], until_s=UNTIL_S))
    assert len(error.message) < OUTPUT_SHOWN_MAX_CHARS + 200
    key = "printf '%s\\n' '-----BEGIN PRIVATE KEY-----' 'MC4CAQAwBQYDK2VwBCIEI' '-----END PRIVATE KEY-----'; exit 1"
    error = await refusal(place(key).place([proof("example.com")], until_s=UNTIL_S))
    assert "MC4CAQ" not in error.message


async def test_a_command_that_others_could_change_is_not_run(place, tmp_path):
    showing = place(f"touch {tmp_path}/ran")
    (tmp_path / "change").chmod(0o777)
    error = await refusal(showing.place([proof("example.com")], until_s=UNTIL_S))
    assert "could not be run" in error.message
    assert "can be written by everybody" in error.message
    assert not (tmp_path / "ran").exists()


async def test_a_command_that_is_not_there_is_told(place, tmp_path):
    showing = place("exit 0")
    (tmp_path / "change").unlink()
    error = await refusal(showing.place([proof("example.com")], until_s=UNTIL_S))
    assert (
        error.message
        == f"the command {tmp_path}/change for {RECORD} could not be run: No such file or directory"
    )


async def test_a_command_for_many_records_has_a_time_for_all_of_them(place, tmp_path, monkeypatch):
    monkeypatch.setattr(hooks, "ALL_RUN_S", 1.0)
    showing = place(f'echo "$3" >> {tmp_path}/told; [ "$3" = one ] || exec sleep 60')
    proofs = [proof("example.com", text) for text in ("one", "two", "three")]
    refused = await refusal(showing.place(proofs, until_s=UNTIL_S))
    assert refused.message.endswith("/change was run for 1 of 3 records in 1 s, and for no more")
    assert (tmp_path / "told").read_text().splitlines() == ["one", "two"]
