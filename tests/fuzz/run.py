"""Feed readers at random for minutes, by hand: `make fuzz`, `make fuzz TARGET=pkcs12 SECONDS=60`.

With atheris (`pip install atheris`) libFuzzer looks for new branches, and holds each input to its time and memory; without it hypothesis
tries changes of the seeds. What an input breaks is written to `tests/fuzz/corpus/TARGET/`: keep it there with its fix.
"""

import argparse
import hashlib
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Final

BUILD: Final = Path("build/fuzz")
TIMEOUT_S: Final = 20
"""For one input, instrumented and on a loaded machine."""

MEMORY_MIB: Final = 1024
ENDED_S: Final = 120
"""How much longer than it was told a reader's process may take: it keeps what it found at its end."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--one", action="store_true", help="in this process")
    chosen = parser.parse_args()
    if chosen.one:
        run_one(chosen.targets[0], chosen.seconds)
        return 0
    from tests.fuzz.targets import TARGETS

    failed = [name for name in chosen.targets or TARGETS if not _in_a_process(name, chosen.seconds)]
    print("no faults found" if not failed else f"faults in: {', '.join(failed)}")
    return bool(failed)


def _in_a_process(name: str, seconds: int) -> bool:
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", "tests.fuzz.run", name, "--one", "--seconds", str(seconds)]
    return subprocess.run(command, check=False, timeout=seconds + ENDED_S).returncode == 0


def run_one(name: str, seconds: int) -> None:
    """Feed one reader; exits with a status that is not 0 for a fault."""
    if find_spec("atheris") is not None:
        _with_atheris(name, seconds)
    _with_hypothesis(name, seconds)


def _with_atheris(name: str, seconds: int) -> None:
    import atheris

    with atheris.instrument_imports(include=["common", "manager", "nodeagent"], enable_loader_override=False):
        from tests.fuzz.readers import INPUT_MAX_BYTES
        from tests.fuzz.targets import TARGETS
    target, found, corpus = TARGETS[name], BUILD / name, _kept(name)
    found.mkdir(parents=True, exist_ok=True)
    for seed in target.seeds():
        (found / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)
    limits = [f"-max_total_time={seconds}", f"-timeout={TIMEOUT_S}", f"-rss_limit_mb={MEMORY_MIB}"]
    limits += [
        f"-max_len={INPUT_MAX_BYTES}",
        f"-artifact_prefix={corpus}/",
        "-print_final_stats=1",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], str(found), *([str(corpus)] if target.kept else []), *limits], target.try_one)
    atheris.Fuzz()  # which ends the process


def _with_hypothesis(name: str, seconds: int) -> None:
    from hypothesis import HealthCheck, Phase, given, settings

    # the tests' own profile, which pytest would make
    settings.register_profile("repeatable", deadline=None)
    from tests.fuzz.targets import TARGETS
    from tests.fuzz.test_fuzz import changes, try_in_time

    target, ends_s, tried = TARGETS[name], time.monotonic() + seconds, 0

    @settings(
        max_examples=1000,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(changes([*target.seeds(), *target.kept]))
    def check(data: bytes) -> None:
        nonlocal tried
        tried += 1
        try:
            try_in_time(target, data)
        except Exception:
            (_kept(name) / f"crash-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise

    while time.monotonic() < ends_s:
        check()
    print(f"{tried} inputs")


def _kept(name: str) -> Path:
    from tests.fuzz.targets import CORPUS

    path = CORPUS / name
    path.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    sys.exit(main())
