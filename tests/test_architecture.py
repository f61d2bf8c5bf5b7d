"""The house rules that a machine can check: which folder imports which, where SQL lives, how files are named.

Reads the source as text (ast); imports none of it.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = ("core", "models", "exporters", "app")
"""Each folder imports itself and those before it."""

MAX_LINES = 500

DATABASE_MODULES = {"core/database.py", "core/store.py", "core/migrations.py"} | {
    f"core/{path.name}" for path in (ROOT / "core").glob("*_rows.py")
}
"""The only files that may speak SQL."""

SQL = re.compile(
    r"\s*(select\s.+\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\S+\s+set\s|delete\s+from\s"
    r"|(create|drop|alter)\s+(table|index|view|trigger)\s|pragma\s+\w|vacuum\b|begin\s+(immediate|exclusive))",
    re.DOTALL,
)

FORBIDDEN = {
    "core": {"torch", "textual", "onnxruntime", "llama_cpp", "transformers"},
    "models": {"textual", "typer"},
    "exporters": {"textual", "typer"},
    "app/tui": {"torch", "transformers", "llama_cpp", "sqlite3", "sqlite_utils"},
}
"""Folder -> libraries that nothing in it may import, at the top of a file or inside a function."""


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imported_packages(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every top-level package that a module imports anywhere, with the line. Relative imports stay in their own."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name.partition(".")[0], node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.partition(".")[0], node.lineno


def offending_imports(folder: str, forbidden: set[str]) -> list[str]:
    return [
        f"{name_of(path)}:{line} imports {package}"
        for path in modules(folder)
        for package, line in imported_packages(parsed(path))
        if package in forbidden
    ]


EVERY_MODULE = [path for layer in LAYERS for path in modules(layer)]
TESTS = modules("tests")


@pytest.mark.parametrize("layer", LAYERS)
def test_each_layer_has_modules(layer: str) -> None:
    """Without this, every other test here would pass on an empty folder."""
    assert (ROOT / layer / "__init__.py").is_file()


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_go_one_way(layer: str) -> None:
    above = {*LAYERS[LAYERS.index(layer) + 1 :], "tests", "benchmarks"}
    assert offending_imports(layer, above) == []


@pytest.mark.parametrize("folder", sorted(FORBIDDEN))
def test_folder_stays_clear_of_libraries(folder: str) -> None:
    assert offending_imports(folder, FORBIDDEN[folder]) == []


def test_only_the_store_imports_sqlite() -> None:
    offenders = [
        line
        for layer in LAYERS
        for line in offending_imports(layer, {"sqlite3", "sqlite_utils"})
        if line.partition(":")[0] not in DATABASE_MODULES
    ]
    assert offenders == []


def sql_strings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """String literals that open like a statement, all in small or all in capital letters (prose has one capital)."""
    for node in ast.walk(tree):
        text = literal_text(node)
        if SQL.match(text) or (SQL.match(text.lower()) and text.lstrip()[:6].isupper()):
            yield node.lineno, text.strip()[:60]


def literal_text(node: ast.AST) -> str:
    """What a string or f-string says, with x for each value filled in; empty for every other node."""
    if isinstance(node, ast.JoinedStr):
        return "".join(literal_text(part) or "x" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("'select * from drafts where id = ?'", 1),
        ("'INSERT INTO acts VALUES (?)'", 1),
        ("f'update {table} set text = 1'", 1),
        ("'Select one from the two'", 0),
        ("'Delete from here'", 0),
    ],
)
def test_sql_is_told_from_prose(source: str, expected: int) -> None:
    assert len(list(sql_strings(ast.parse(source)))) == expected


def test_sql_appears_only_in_the_store() -> None:
    offenders = [
        f"{name_of(path)}:{line} {text}"
        for path in EVERY_MODULE
        if name_of(path) not in DATABASE_MODULES
        for line, text in sql_strings(parsed(path))
    ]
    assert offenders == []


def test_every_module_opens_with_a_docstring() -> None:
    assert [name_of(path) for path in EVERY_MODULE + TESTS if not ast.get_docstring(parsed(path))] == []


def test_no_file_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"util", "utils", "common", "helper", "helpers", "misc"}
    assert [name_of(path) for path in EVERY_MODULE + TESTS if path.stem in drawers or path.parent.name in drawers] == []


def test_no_file_outgrows_500_lines() -> None:
    long = [name_of(p) for p in EVERY_MODULE + TESTS if len(p.read_text(encoding="utf-8").splitlines()) > MAX_LINES]
    assert long == []


def test_no_other_distribution_owns_our_names() -> None:
    """The price of four flat packages under generic names: they must be ours alone in this environment."""
    owners = packages_distributions()
    assert {name: set(owners.get(name, [])) - {"penpal"} for name in LAYERS} == {name: set() for name in LAYERS}


def test_undefined_names_are_ignored_nowhere() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    ignored = {*lint["ignore"], *(rule for rules in lint["per-file-ignores"].values() for rule in rules)}
    assert not any("F821".startswith(rule) for rule in ignored)
    silencer = re.compile(r"#\s*(ruff:\s*)?noqa(:[^#]*\bF821\b|\s*$)", re.IGNORECASE | re.MULTILINE)
    assert [name_of(path) for path in EVERY_MODULE if silencer.search(path.read_text(encoding="utf-8"))] == []
