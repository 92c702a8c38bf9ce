"""What a command's words name, and which words may name more than they show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.commandpaths import SEPARATORS_MAX, SHOWN_MAX_CHARS, SLASHES_MAX, find_unclear, named_in

PLAIN = st.text("aZ9_./+:=,@ -", max_size=40)


@pytest.mark.parametrize(
    "word",
    [
        *("/opt/x", "A=/opt/x", "--file=/opt/x", "-f/opt/x", "+r/opt/x", "unix:/opt/x", "file:///opt/x"),
        *("@/opt/x", "EXEC:/opt/x,pty", "A=/srv:/opt/x"),
        *("w/opt/x", "1e/opt/x", "/a/e/opt/x", "s/a/b/w/opt/x", "so/opt/x", "A=so/opt/x"),
    ],
)
def test_a_path_is_found_wherever_it_stands_in_a_word(word):
    assert find_unclear([word]) is None
    named = named_in(["-q", word])
    assert "/opt/x" in {
        path.replace("///", "/") for path in (*named.paths, *(inner for _, inner in named.inner))
    }


@pytest.mark.parametrize("path", ["/etc/app@1/x", "/etc/a:b", "/etc/a=b", "/etc/a,b:c@d"])
@pytest.mark.parametrize("word", ["{}", "A={}", "-f{}", "a:{},b"])
def test_a_path_is_found_with_the_separators_that_are_its_own(path, word):
    assert path in named_in([word.format(path)]).paths


@pytest.mark.parametrize(
    "word", ["reload", "-Sreload", "-vSreload", "nice reload", "A=reload", "--run=reload"]
)
def test_a_programs_name_is_found_wherever_it_stands_in_a_word(word):
    assert "reload" in named_in([word]).names


@pytest.mark.parametrize("sign", "*?[]{}()!$`'\"\\#~^%;&|<>\n\t\0é")
def test_a_sign_of_a_language_is_refused_and_named(sign):
    refused = find_unclear(["plain", f"a{sign}b"])
    assert refused is not None
    assert f"has {sign!r}, with which" in refused


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("/opt/my app", "has a space and a path in one word"),
        ("exec /opt/x", "has a space and a path in one word"),
        ("/opt/a/../x", "has '..' in it"),
        ("--file=../x", "has '..' in it"),
        ("..", "has '..' in it"),
        ("-C..", "has '..' in it"),
        ("-C../x", "has '..' in it"),
        ("a,-f../x", "has '..' in it"),
        ("do v47.120", "has 'v47.120', with which a program may put any name together"),
        ("do 47.120.121", "has '47.120.121', with which a program may put any name together"),
        ("load Dir.pwd.chr", "has 'Dir.pwd.chr', with which a program may put any name together"),
        ("do q=op=", "has 'q=op=', with which a program may put any name together"),
        ("do+v47.120", "has 'o+', with which a program may put any name together"),
        ("send:load,47.chr+:x.to_s", "has 'r+', with which a program may put any name together"),
        (":" * (SEPARATORS_MAX + 1), "has more than 32 parts"),
    ],
)
def test_a_word_that_can_be_read_in_more_than_one_way_is_refused(word, why):
    assert find_unclear([word]) == f"{word!r} {why}"


def test_a_word_of_very_many_slashes_is_refused():
    assert find_unclear(["/a" * SLASHES_MAX]) is None
    assert (find_unclear(["/a" * (SLASHES_MAX + 1)]) or "").endswith(f"has more than {SLASHES_MAX} slashes")


def test_a_refused_word_is_cut_to_what_a_report_holds():
    assert find_unclear(["$" * 4096]) == (
        f"'{'$' * SHOWN_MAX_CHARS}…' has '$', with which a shell or another program may name any file"
    )


@pytest.mark.parametrize(
    "line",
    [
        ["-x", "sofia profile internal restart"],
        ["kill", "--kill-whom=main", "--signal=SIGUSR2", "app@1.service"],
        ["-X", "POST", "http://127.0.0.1:2019/load"],
        ["-s", "unix:/run/kamailio/kamailio_ctl", "tls.reload"],
        ["1..2", "...", "a..b/c"],
    ],
)
def test_words_of_everyday_commands_are_plain(line):
    assert find_unclear(line) is None


@given(st.lists(st.text(), max_size=4))
def test_any_words_are_judged(words):
    if find_unclear(words) is None:
        named_in(words)


@given(PLAIN, PLAIN)
def test_whatever_follows_a_separator_is_found(before, after):
    assert f"/{after}" in named_in([f"{before}=/{after}"]).paths
