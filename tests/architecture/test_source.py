"""What every source file keeps to; each rule was seen to fail on a file that broke it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = sorted((ROOT / "pipeline").rglob("*.py"))
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if path.name.startswith("test_"))
FORBIDDEN_NAMES = {"utils", "util", "common", "helpers", "helper", "base", "core", "manager", "misc"}
FUNCTION_LINES, FILE_LINES = 50, 500
ASSERTING_CALLS = {"raises", "fail", "warns", "deprecated_call"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def functions(module: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(module) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def without_sentence(path: Path) -> bool:
    first = (ast.get_docstring(tree(path)) or "").split("\n", 1)[0]
    return not first.endswith((".", "::", ":")) or len(first.split()) < 3


def forbidden_name(path: Path) -> bool:
    return bool({path.stem, *path.parent.parts[-2:]} & FORBIDDEN_NAMES)


def long_functions(path: Path) -> list[str]:
    found = ((node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions(tree(path)))
    return [f"{name} has {lines} lines" for name, lines in found if lines > FUNCTION_LINES]


def environment_readers(path: Path) -> list[int]:
    """Lines that read the environment, other than where a process starts: under ``if __name__ == "__main__"``."""
    names = {"environ", "environb", "getenv"}
    module = tree(path)
    starts = [node for node in module.body if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"]
    allowed = {id(node) for start in starts for node in ast.walk(start)}
    found = []
    for node in ast.walk(module):
        by_module = isinstance(node, ast.Attribute) and node.attr in names and ast.unparse(node.value) == "os"
        by_import = isinstance(node, ast.ImportFrom) and node.module == "os" and names & {each.name for each in node.names}
        if (by_module or by_import) and id(node) not in allowed:
            found.append(node.lineno)
    return sorted(found)


def prints(path: Path) -> list[int]:
    calls = (node for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    return [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]


def asserting(function: ast.AST, asserting_functions: set[str]) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in ASSERTING_CALLS or called.startswith("assert") or called in asserting_functions:
                return True
    return False


def asserting_nothing(path: Path) -> list[str]:
    """Test functions without an assertion of their own or of a function in the same file that they call."""
    found = list(functions(tree(path)))
    known: set[str] = set()
    for _ in found:  # as deep as functions of one file can call one another
        grown = known | {node.name for node in found if asserting(node, known)}
        if grown == known:
            break
        known = grown
    return [node.name for node in found if node.name.startswith("test_") and node.name not in known]


@pytest.mark.parametrize("path", PACKAGE, ids=name_of)
def test_a_module_opens_with_a_sentence_and_keeps_its_size_and_name(path):
    assert not without_sentence(path), "open with one sentence that says what the module is for"
    assert not forbidden_name(path.relative_to(ROOT)), "name the module after what it is about"
    assert long_functions(path) == []
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES


def test_the_environment_is_read_only_where_a_process_starts():
    assert [name_of(path) for path in PACKAGE if environment_readers(path)] == ["pipeline/__main__.py"]


def test_only_the_command_line_and_the_demo_print():
    outside = [path for path in PACKAGE if path.relative_to(ROOT / "pipeline").parts[0] not in {"cli", "demo"}]
    assert [name_of(path) for path in outside if prints(path)] == []


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_every_test_asserts_something(path):
    assert asserting_nothing(path) == []


def imported_as(path: Path) -> str:
    """The name under which pytest imports a test file: two files of one name would hide one another."""
    names, parent = [path.stem], path.parent
    while (parent / "__init__.py").is_file():
        names.insert(0, parent.name)
        parent = parent.parent
    return ".".join(names)


def test_no_two_test_files_are_imported_under_one_name():
    names = [imported_as(path) for path in TESTS]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def imports_of_ours(path: Path) -> list[str]:
    found = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name for node in found]
    return [name for name in names if name.split(".")[0] == "pipeline"]


def test_acceptance_tests_import_nothing_of_the_package():
    acceptance = (ROOT / "tests" / "acceptance").rglob("*.py")
    assert {name_of(path): imports_of_ours(path) for path in acceptance if imports_of_ours(path)} == {}


BROKEN = """
import os
from os import environ
import pipeline.errors

def shout():
    print(os.environ["HOME"], os.getenv("X"))

def test_nothing():
    shout()

def check(x):
    assert x

def test_by_way_of_another():
    check(1)
"""


def test_the_rules_find_what_breaks_them(tmp_path):
    path = tmp_path / "helpers.py"
    path.write_text(BROKEN + "def long():\n" + "    x = 1\n" * 60)
    assert without_sentence(path)
    assert forbidden_name(path)
    assert long_functions(path) == ["long has 61 lines"]
    assert environment_readers(path) == [3, 7, 7]
    assert prints(path) == [7]
    assert imports_of_ours(path) == ["pipeline.errors"]
    assert asserting_nothing(path) == ["test_nothing"]
