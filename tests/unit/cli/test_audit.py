import pytest

HEAD = "5f" * 32
SIGNED = f"certcast-audit-1:7:7:1764100000:{HEAD}:{HEAD}"


def test_the_audit_log_is_a_table_and_nothing_in_it_is_markup(api, run):
    entry = {"id": 1, "at_s": 0, "actor": "[red]anna", "action": "node.added", "subject": "node c\x1b[2J"}
    api.answer("GET", "audit?limit=100", {"entries": [entry | {"detail": '{"names": []}', "chain": "0"}]})
    shown = run("audit").stdout
    assert "[red]anna" in shown
    assert '{"names": []}' in shown
    assert "\x1b" not in shown


def test_what_came_before_is_asked_for_by_the_id_that_is_shown(api, run):
    api.answer("GET", "audit?limit=2", {"entries": [], "next_before": 41})
    api.answer("GET", "audit?limit=100&before=41", {"entries": [], "next_before": None})
    assert "certcast audit --before 41" in run("audit", "--limit", "2").stderr
    done = run("audit", "--before", "41")
    assert (done.exit_code, done.stderr) == (0, "")


def verified(**changes):
    whole = {"broken_at": None, "fault": "", "count": 7, "head": HEAD, "noted": True, "kept": ""}
    return whole | {"signed_head": SIGNED} | changes


def test_an_intact_log_is_told_with_the_head_to_keep(api, run):
    api.answer("GET", "audit/verify", verified())
    done = run("audit", "verify")
    assert done.exit_code == 0
    assert "All 7 entries are intact" in done.stdout
    assert SIGNED in done.stdout


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"broken_at": 8, "fault": "entry"}, "entry 8 was altered"),
        ({"broken_at": 8, "fault": "head"}, "is missing or was altered"),
        ({"broken_at": 8, "fault": "end"}, "later entries were removed"),
        ({"broken_at": 1, "fault": "key"}, "cannot be verified"),
        ({"noted": False}, "the log was replaced"),
        ({"kept": "lost"}, "is not in the log"),
        ({"kept": "foreign"}, "was not signed by this log"),
    ],
)
def test_a_log_that_is_not_what_it_was_is_exit_status_1(api, run, changes, text):
    api.answer("GET", "audit/verify?head=def&noted=abc", verified(**changes))
    asked = ("audit", "verify", "--noted", "abc", "--head", "def")
    done = run(*asked)
    assert (done.exit_code, text in done.stdout) == (1, True)
    assert run(*asked, "--json").exit_code == 1


def test_the_head_is_printed_alone_so_that_it_can_be_kept(api, run):
    api.answer("GET", "audit/head", {"head": SIGNED, "count": 7, "at_s": 1764100000})
    assert run("audit", "head").stdout == f"{SIGNED}\n"
