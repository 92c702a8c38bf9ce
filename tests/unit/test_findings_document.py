"""docs/findings.md is what the code says, and says it of everything."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from common.api.codes import ChainState, State, StatusCode
from common.codes import ConfigurationCode, WaitReason
from common.errors import Reason
from common.explained.alarms import ALARM_MEANINGS
from common.explained.meanings import (
    ALARM_TITLES,
    CONFIGURATION,
    CONSEQUENCES,
    DIFFERENCES,
    NODE_STATES,
    WAITS,
)
from common.explained.reasons import CLIENT_ALARMS, REASONS
from common.pki.finding import LintCode
from common.pki.path import LinkProblem
from manager.cli.app import app
from manager.domain.alarms import AlarmKind
from manager.domain.comparison import DifferenceCode
from manager.domain.consequences import ConsequenceCode
from manager.infinity_api.contract.alarms import MISSING_ON_MANAGEMENT_NODE, NAMES
from manager.pki.chain.chain import PROBLEM_WORDS
from manager.web.reference import markdown

DOCUMENT = Path(__file__).parents[2] / "docs" / "findings.md"


def test_the_document_is_what_the_table_in_the_code_makes():
    assert DOCUMENT.read_text() == markdown(), "run 'make findings'"


def test_the_document_has_one_row_for_every_code():
    anchors = re.findall(r'^\| <a id="([a-z_-]+)"></a>', DOCUMENT.read_text(), re.MULTILINE)
    kinds = {"finding": LintCode, "status": StatusCode, "chain": ChainState}
    assert anchors == [f"{kind}-{code}" for kind, codes in kinds.items() for code in codes]


def test_every_problem_of_a_link_has_words():
    assert list(PROBLEM_WORDS) == list(LinkProblem)
    for code, words in PROBLEM_WORDS.items():
        assert f"| `{code}` | {words} |" in DOCUMENT.read_text()


def test_the_command_explains_a_code_of_every_kind_that_spells_it_so():
    said = CliRunner().invoke(app, ["explain", "expired"]).output
    assert "chain's state" in said
    assert "Its validity has ended." in said
    assert "A link of the chain has expired." in said
    assert "All clients." in CliRunner().invoke(app, ["explain", "node_name_mismatch"]).output


def test_the_command_lists_all_codes_and_refuses_what_is_none():
    listed = CliRunner().invoke(app, ["explain"]).output
    for code in (*LintCode, *StatusCode, *ChainState):
        assert code in listed
    refused = CliRunner().invoke(app, ["explain", "nonsense"])
    assert refused.exit_code == 1
    assert "there is no code 'nonsense'" in refused.output


def test_the_command_prints_rows_as_json():
    (row,) = json.loads(CliRunner().invoke(app, ["explain", "must_staple", "--json"]).output)
    assert (row["code"], row["severity"], row["anchor"]) == ("must_staple", "warning", "finding-must_staple")


def test_the_command_explains_codes_of_nodes_and_alarms_and_the_finding_behind_an_alarm():
    def said(code: str) -> str:
        return CliRunner().invoke(app, ["explain", code]).output

    assert "If the file names no port, only the installed files are known to be right." in said("in_sync")
    assert "Reload waits" in said("reload-waiting")
    assert "Node's own configuration has mistakes" in said("services_invalid")
    assert "node_name_mismatch" in said("name_mismatch")
    for code in (*get_args(State), *AlarmKind):
        assert CliRunner().invoke(app, ["explain", code]).exit_code == 0
    assert set(get_args(State)) == set(NODE_STATES)
    assert set(AlarmKind) == set(ALARM_TITLES)


def test_every_alarm_is_explained_by_the_command_and_in_the_document_with_what_to_do():
    assert set(ALARM_MEANINGS) == set(AlarmKind)
    for code, meaning in ALARM_MEANINGS.items():
        rows = json.loads(CliRunner().invoke(app, ["explain", code, "--json"]).output)
        assert [row["means"] for row in rows if row["kind"] == "alarm"] == [meaning]
        assert f"| `{code}` | {ALARM_TITLES[code]} | {meaning} |" in DOCUMENT.read_text()
        assert meaning.count(". ") >= 1, "what it means, and what to do next"


def test_every_code_of_a_difference_and_of_a_consequence_is_explained_by_the_command_and_in_the_document():
    assert set(DIFFERENCES) == set(DifferenceCode)
    assert set(CONSEQUENCES) == set(ConsequenceCode)
    for code, (title, meaning) in [*DIFFERENCES.items(), *CONSEQUENCES.items()]:
        said = CliRunner().invoke(app, ["explain", code])
        assert said.exit_code == 0
        assert " ".join(title.split()) in " ".join(said.output.split())
        assert f"| `{code}` | {title} | {meaning} |" in DOCUMENT.read_text()


@pytest.mark.parametrize(
    ("kind", "rows", "codes"),
    [
        ("configuration", CONFIGURATION, ConfigurationCode),
        ("wait", WAITS, get_args(WaitReason)),
        ("node_state", NODE_STATES, get_args(State)),
    ],
)
def test_every_code_that_a_node_reports_is_explained_by_the_command_and_in_the_document(kind, rows, codes):
    assert set(rows) == set(codes)
    document = DOCUMENT.read_text()
    for code, (title, meaning) in rows.items():
        said = json.loads(CliRunner().invoke(app, ["explain", code, "--json"]).output)
        assert {(row["title"], row["means"], row["anchor"]) for row in said if row["kind"] == kind} == {
            (title, meaning, f"{kind}-{code}")
        }
        assert f"| `{code}` | {title} | {meaning} |" in document


def test_a_configuration_code_is_explained_with_what_to_do_next():
    for _, meaning in (*CONFIGURATION.values(), *WAITS.values()):
        assert meaning.count(". ") >= 1


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_by_the_command_and_in_the_document(reason):
    title, meaning = REASONS[reason]
    rows = json.loads(CliRunner().invoke(app, ["explain", reason, "--json"]).output)
    assert [(row["title"], row["means"]) for row in rows if row["kind"] == "reason"] == [(title, meaning)]
    assert f"| `{reason}` | {title} | {meaning} |" in DOCUMENT.read_text()
    assert meaning.count(". ") >= 1, "what it means, and what to do next"


def test_every_alarm_name_of_the_existing_clients_leads_to_ours():
    names: dict[str, set[str]] = {MISSING_ON_MANAGEMENT_NODE: {AlarmKind.NO_CERTIFICATE}}
    for kind, name in NAMES.items():
        names.setdefault(name, set()).add(kind)
    assert {name: set(kinds) for name, kinds in CLIENT_ALARMS.items()} == names
    for name, kinds in CLIENT_ALARMS.items():
        said = CliRunner().invoke(app, ["explain", name])
        assert said.exit_code == 0
        assert all(kind in said.output for kind in kinds)
        assert f"| `{name}` |" in DOCUMENT.read_text()


def test_the_command_answers_with_the_nearest_codes():
    refused = CliRunner().invoke(app, ["explain", "no_sans"])
    assert refused.exit_code == 1
    assert "no_san" in refused.output.replace("no_sans", "")
