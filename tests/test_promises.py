"""Each promise of docs/reliability.md and docs/privacy.md names a test that is there, and slow ones are said to be."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [page for page in (ROOT / "docs" / "reliability.md", ROOT / "docs" / "privacy.md") if page.exists()]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`( \(slow\))?")


@cache
def slow_by_name(path: Path) -> dict[str, bool]:
    """Test functions of a file, and whether they are slow."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = {ast.unparse(node.targets[0]): node.value for node in tree.body if isinstance(node, ast.Assign)}
    all_slow = "pytestmark" in assigned and "mark.slow" in ast.unparse(assigned["pytestmark"])
    return {
        node.name: all_slow or any("mark.slow" in ast.unparse(decorator) for decorator in node.decorator_list)
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test")
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_keeps_a_promise_is_there(page: Path) -> None:
    named = NAMED.findall(page.read_text(encoding="utf-8"))
    assert named
    for file, name, said_slow in named:
        assert (ROOT / file).is_file(), file
        assert name in slow_by_name(ROOT / file), f"{page.name} names {file}::{name}"
        if page.stem == "reliability":
            assert slow_by_name(ROOT / file)[name] == bool(said_slow), name


def test_every_promise_about_reliability_is_kept_by_a_test() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (.+) \| (.+) \|$", page, re.MULTILINE)
    promises = [(promise, test) for promise, test in rows if test not in ("kept by", "---")]
    assert len(promises) > 30
    assert [promise for promise, test in promises if not NAMED.search(test)] == []
