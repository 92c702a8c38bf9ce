"""Paths that a command's words may name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodeagent.core.commandpaths import NESTING_MAX, is_certificate, paths_in


@pytest.mark.parametrize(
    "word",
    [
        "/opt/x",
        "A=/opt/x",
        "--file=/opt/x",
        "-f/opt/x",
        "unix:/opt/x",
        "file:///opt/x",
        "@/opt/x",
        "EXEC:/opt/x,pty",
        "set -e; /opt/x&",
        "kill $(cat </opt/x)",
        "`/opt/x`",
        """sh -c 'sh -c "/opt/x"'""",
        'do q!/opt/x!; print "ok"',
        "exec(open('/opt/x').read())",
        r"/op\t/x",
        "/o'p't/x",
    ],
)
def test_a_path_is_found_wherever_it_stands_in_a_word(word):
    found = {path.replace("///", "/") for path in paths_in(["-q", word])}
    assert "/opt/x" in found


@pytest.mark.parametrize(
    "name", ["service.pid", "pid", "admin.sock", "kamailio_ctl", "php-socket", "control"]
)
def test_pid_files_and_sockets_are_no_programs(name):
    found = paths_in([f"/run/app/{name}", f"kill $(cat /run/app/{name})", f"unix:/run/app/{name}"])
    assert [path for path in found if path.startswith("/")] == []


def test_certificates_go_by_their_names():
    assert [name for name in ("a.pem", "/x/a.key", "apem", "a.pem.sh", "a.pem/") if is_certificate(name)] == [
        "a.pem",
        "/x/a.key",
        "a.pem/",
    ]


def test_nested_lines_end():
    line = "x"
    for _ in range(NESTING_MAX + 4):
        line = "sh -c '" + line.replace("'", r"'\''") + "'"
    assert paths_in([line])


@given(st.lists(st.text(), max_size=4))
def test_any_words_are_taken_and_each_is_found_itself(words):
    found = paths_in(words)
    assert len(found) == len(set(found))
    assert all(not path.startswith("/") or path.strip("/") for path in found)
