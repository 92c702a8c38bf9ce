"""The page of a node that was added types what README types."""

from pathlib import Path

from manager.web.pages.nodes import INSTALL, START

README = Path(__file__).parents[3] / "README.md"


def test_the_commands_for_a_new_node_are_those_of_readme():
    _, _, block = README.read_text().partition("<!-- first day: node -->\n\n")
    typed = [line.partition(" #")[0].strip() for line in block.partition("\n\n")[0].splitlines()]
    assert typed == [*INSTALL, "certcast-nodeagent join TOKEN", *START]
