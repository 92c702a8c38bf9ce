"""The documents name only files, targets and commands that exist, and the decisions have their form and their index."""

import re
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
DECISIONS = TOP / "docs" / "decisions"
DOCUMENTS = sorted(
    path for path in (*TOP.glob("*.md"), *TOP.glob("docs/**/*.md")) if path.name != "CHANGELOG.md"
)
PAGES = sorted(DECISIONS.glob("0*.md"))
FILE = re.compile(r"`((?:bench|common|demo|docs|manager|nodeagent|systemd|tests)/[^`\s*<>{}]+)`")
NAME = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.py)?|[\w.-]+\.py)`")
LINK = re.compile(r"\]\(([^)#\s]+)")
PLACEHOLDER = "NN"
"""In the name of a file that is still to be written."""


def named(path: Path) -> str:
    return str(path.relative_to(TOP))


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_document_names_only_files_that_exist(document: Path):
    text = document.read_text()
    files = [name for name in FILE.findall(text) if PLACEHOLDER not in name and not (TOP / name).exists()]
    links = [
        link for link in LINK.findall(text) if "://" not in link and not (document.parent / link).exists()
    ]
    assert (files, links) == ([], [])


def test_the_map_s_names_without_a_folder_are_of_files_in_the_folder_before_them():
    unknown = []
    for row in (TOP / "docs" / "architecture.md").read_text().splitlines():
        folder = None
        for name in NAME.findall(row):
            where = TOP / name
            if "/" in name:
                folder = where if name.endswith("/") else where.parent
            elif folder is not None and not (folder / name).exists():
                unknown.append(f"{named(folder)}: {name}")
    assert unknown == []


def test_the_map_has_a_room_for_every_module_of_the_product():
    text = (TOP / "docs" / "architecture.md").read_text()
    table = text.partition("| room | what is in it")[2].partition("\n\n")[0]
    rooms = [
        name for row in table.splitlines() for name in FILE.findall(row.split("|")[1] if "|" in row else "")
    ]
    modules = [
        named(path) for top in ("common", "manager", "nodeagent") for path in (TOP / top).rglob("*.py")
    ]
    own = {f"{top}/__init__.py" for top in ("common", "manager", "nodeagent")}
    assert not [name for name in rooms if name.count("/") != (2 if name.endswith("/") else 1)]
    homeless = [
        name
        for name in modules
        if name not in own
        and sum(name == room or (room[-1] == "/" and name.startswith(room)) for room in rooms) != 1
    ]
    assert homeless == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_a_document_names_only_targets_that_the_makefile_has(document: Path):
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:`|^    )make ([a-z-]+)", document.read_text(), re.MULTILINE)) <= targets


def test_a_link_to_a_section_leads_to_one():
    for document in DOCUMENTS:
        for link, section in re.findall(r"\]\(([^)#\s]*\.md)#([\w-]+)\)", document.read_text()):
            titles = re.findall(r"^#+ (.+)$", (document.parent / link).read_text(), re.MULTILINE)
            sections = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert section in sections, named(document)


def test_the_numbers_of_decisions_follow_one_another():
    assert [int(page.stem[:4]) for page in PAGES] == list(range(1, len(PAGES) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_decision_has_a_number_a_status_a_date_and_alternatives(page: Path):
    title, _, rest = page.read_text().partition("\n\n")
    assert re.fullmatch(rf"# {int(page.stem[:4])}\. .+", title)
    assert re.match(r"\*\*Status:\*\* (accepted|proposed|superseded by \d+), \d{4}-\d\d-\d\d[.;]", rest)
    for part in ("Context", "Decision", "Alternatives", "Consequences"):
        assert len(re.findall(rf"^\*\*{part}\b", rest, re.MULTILINE)) == 1, part


def test_a_decision_that_is_named_by_its_number_is_the_one_that_is_linked():
    for document in DOCUMENTS:
        for number, link in re.findall(r"\[decision (\d+)\]\(([^)]+)\)", document.read_text()):
            assert Path(link).name.startswith(f"{int(number):04d}-"), named(document)


def test_the_sources_name_only_decisions_that_there_are():
    sources = [path for room in ("common", "manager", "nodeagent") for path in (TOP / room).rglob("*.py")]
    for path in (*DOCUMENTS, *sources):
        numbers = {int(number) for number in re.findall(r"\bdecision (\d+)\b", path.read_text())}
        assert numbers <= set(range(1, len(PAGES) + 1)), named(path)


def test_the_index_of_decisions_has_each_with_its_title_and_status():
    rows = re.findall(
        r"^\| (\d+) \| \[(.+)\]\((.+)\) \| (.+) \| (\S+) \|$",
        (DECISIONS / "README.md").read_text(),
        re.MULTILINE,
    )
    assert [row[2] for row in rows] == [page.name for page in PAGES]
    for number, title, name, status, date in rows:
        text = (DECISIONS / name).read_text()
        assert text.startswith(f"# {number}. {title}\n\n**Status:** {status}, {date}")
