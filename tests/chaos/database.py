"""The database of a site: a primary with a streaming replica that it waits for, what may happen to them, and what it kept, in order.

Invariant: what was acknowledged is on both, unless `make_replica` has not ended since the last failover.
"""

import asyncio
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

from common.bundle.manifest import parse_manifest
from tests.chaos.history import Kept
from tests.postgres import HBA, Cluster, made_cluster, made_root

NAME: Final = "site"

ANY_LOOPBACK: Final = HBA.replace("127.0.0.1/32 scram", "127.0.0.0/8 scram")
"""Each process of a manager dials from an address of its own, by which the database knows it."""

_HISTORY: Final = """
CREATE SCHEMA chaos;
CREATE TABLE chaos.kept (
    id bigserial PRIMARY KEY, run text, tbl text, act text, member bigint, node bigint, generation bigint, digest text, manifest bytea
);
CREATE FUNCTION chaos.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    row record;
    member bigint := 0; node bigint := 0; generation bigint := 0; digest text := ''; manifest bytea := NULL;
BEGIN
    IF TG_LEVEL = 'ROW' THEN
        IF TG_OP = 'DELETE' THEN row := OLD; ELSE row := NEW; END IF;
        IF TG_TABLE_NAME = 'member' THEN member := row.id;
        ELSIF TG_TABLE_NAME = 'hold' THEN member := row.member_id; node := row.node_id;
        ELSIF TG_TABLE_NAME = 'duty' THEN member := row.member_id;
        ELSIF TG_TABLE_NAME = 'report' THEN node := row.node_id;
        ELSIF TG_TABLE_NAME = 'generation' THEN
            node := row.node_id; generation := row.generation; digest := row.digest;
            IF node IN (SELECT id FROM chaos.watched) THEN manifest := row.manifest; END IF;
        END IF;
    END IF;
    INSERT INTO chaos.kept (run, tbl, act, member, node, generation, digest, manifest)
    VALUES (coalesce(host(inet_client_addr()), ''), TG_TABLE_NAME, TG_OP, member, node, generation, digest, manifest);
    RETURN NULL;
END $$;
CREATE TABLE chaos.watched (id bigint PRIMARY KEY);
CREATE TRIGGER note AFTER INSERT OR DELETE ON member FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON hold FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON duty FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE ON report FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE ON alarm FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT ON generation FOR EACH ROW EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE ON certificate FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE ON assignment FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();
CREATE TRIGGER note AFTER INSERT OR UPDATE ON asked_push FOR EACH STATEMENT EXECUTE FUNCTION chaos.note();
"""
"""Writes beside each change who made it: in the same transaction, so in the order of the one writer's lock."""

_ROWS: Final = """
SELECT run, tbl, act, kept.member, coalesce(node.name, ''), kept.generation, kept.digest
FROM chaos.kept LEFT JOIN node ON node.id = kept.node ORDER BY kept.id
"""
_CONTENTS: Final = """
SELECT node.name, kept.generation, encode(kept.manifest, 'hex')
FROM chaos.kept JOIN node ON node.id = kept.node WHERE kept.manifest IS NOT NULL
"""


class Servers:
    """The two places at which a server can be. `ports` is where each listens, or did; a place gets another port with each server."""

    def __init__(self, primary: Cluster, stack: ExitStack) -> None:
        self._stack = stack
        self._places: list[Cluster] = [primary]
        self._primary = 0

    @property
    def primary(self) -> Cluster:
        return self._places[self._primary]

    @property
    def ports(self) -> list[int]:
        return [each.port for each in self._places]

    async def sql(self, query: str) -> str:
        return await asyncio.to_thread(self.primary.sql, query, database=NAME)

    async def make_replica(self) -> None:
        """Make one at the other place, and let every commit wait for it from now on."""
        await asyncio.to_thread(self.make_replica_now)

    def make_replica_now(self) -> None:
        replica = self.primary.replica(self._stack.enter_context(made_root()))
        self._stack.callback(replica.stop, signal.SIGQUIT)
        if len(self._places) == 1:
            self._places.append(replica)
        else:
            gone = self._places[1 - self._primary]
            self._places[1 - self._primary] = replica
            shutil.rmtree(gone.data)
        self._wait_for("replica")

    def _wait_for(self, standby: str) -> None:
        self.primary.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        self.primary.sql("SELECT pg_reload_conf()")

    async def fail_over(self) -> None:
        """Kill the primary at once, and promote the replica, which goes on alone."""
        await asyncio.to_thread(self._fail_over)

    def _fail_over(self) -> None:
        self.primary.kill()
        self._primary = 1 - self._primary
        self.primary.promote()
        self._wait_for("")

    async def restart(self, away_s: float) -> None:
        """Stop the primary, and start it again later."""
        await asyncio.to_thread(self.primary.stop)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(self.primary.start)

    async def stand_still(self, still_s: float) -> None:
        """Let the primary stand still for a while."""
        self.primary.pause()
        try:
            await asyncio.sleep(still_s)
        finally:
            self.primary.resume()

    async def watch(self) -> None:
        """Begin to write down what is kept."""
        await self.sql(_HISTORY)

    async def watch_content(self, nodes: list[str]) -> None:
        """From now on, keep the manifests of these nodes too, whose agents do not say what they install."""
        names = ",".join(nodes)
        await self.sql(f"INSERT INTO chaos.watched SELECT id FROM node WHERE name = ANY ('{{{names}}}')")

    async def kept(self, runs: dict[str, str]) -> list[Kept]:
        """Return all that was kept; `runs` names the managers' processes by the addresses from which they dialled."""
        return [_kept(line.split("|"), runs) for line in (await self.sql(_ROWS)).splitlines()]

    async def contents(self) -> dict[tuple[str, int], tuple[str, str]]:
        """Return the digest and the leaf of each generation of the nodes that are watched."""
        found = {}
        for line in (await self.sql(_CONTENTS)).splitlines():
            node, generation, raw = line.split("|")
            manifest = parse_manifest(bytes.fromhex(raw))
            leaf = manifest.slots["server"].leaf if "server" in manifest.slots else ""
            found[node, int(generation)] = (manifest.digest, leaf)
        return found


def _kept(row: list[str], runs: dict[str, str]) -> Kept:
    run, table, act, member, node, generation, digest = row
    return Kept(
        run=runs.get(run, run),
        table=table,
        act=act,  # type: ignore[arg-type]
        member=int(member),
        node=node,
        generation=int(generation),
        digest=digest,
    )


@contextmanager
def made_servers() -> Iterator[Servers]:
    """Lend a primary with an empty database, and its replica."""
    with ExitStack() as stack:
        primary = stack.enter_context(made_cluster(hba=ANY_LOOPBACK))
        primary.make_database(NAME)
        servers = Servers(primary, stack)
        servers.make_replica_now()
        yield servers
