"""Every wait of the tests for a process has its own deadline, so that what hangs says where."""

import ast
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PROCESSES = {"run", "check_output", "check_call", "call"}
NAMED = {"process", "agent", "nginx", "child", "manager"}
"""What the tests call a process that they wait for."""

PATIENT = "patience.py"


def has_deadline(call: ast.Call, around: list[ast.AST]) -> bool:
    if any(keyword.arg == "timeout" for keyword in call.keywords):
        return True
    return any(
        "timeout" in ast.unparse(item.context_expr)
        for node in around
        if isinstance(node, ast.With | ast.AsyncWith)
        for item in node.items
    )


def waits(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[ast.Call, list[ast.AST]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
            name, owner = child.func.attr, ast.unparse(child.func.value)
            if (owner == "subprocess" and name in PROCESSES) or name == "communicate":
                yield child, around
            is_process = owner.rpartition(".")[2] in NAMED and not child.args
            if (name == "wait" and is_process) or (owner, name) == ("os", "waitpid"):
                yield child, around
            if name == "poll" and owner == "poll" and not child.args:
                yield child, around
        yield from waits(child, [*around, child])


def without_deadline(text: str) -> list[int]:
    return [call.lineno for call, around in waits(ast.parse(text), []) if not has_deadline(call, around)]


def test_every_wait_for_a_process_has_a_deadline():
    found = {
        str(path.relative_to(TESTS)): without_deadline(path.read_text())
        for path in TESTS.rglob("*.py")
        if path.name != PATIENT
    }
    assert {path: lines for path, lines in found.items() if lines} == {}


def test_a_wait_without_one_is_found():
    assert without_deadline("subprocess.run(['x'])\nsubprocess.run(['x'], timeout=1)\n") == [1]
    assert without_deadline(
        "async with asyncio.timeout(1):\n    await p.communicate()\nawait p.communicate()\n"
    ) == [3]
    assert without_deadline(
        "os.waitpid(1, 0)\nself.process.wait()\nprocess.wait(PATIENCE_S)\nevent.wait()\n"
    ) == [1, 2]
