"""Texts and files that come from outside: each works or is one clear line, and none is obeyed by the terminal.

More of them: `PENPAL_FUZZ_EXAMPLES=100000 pytest -m slow tests/app/test_input_from_outside.py`.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli.pairs_file import LONGEST_TEXT, read_pairs
from app.cli.prompts import MAX_FILE_BYTES, MAX_PIPED_CHARACTERS, read_conversations, read_prompts
from app.harmless import escaped, harmless
from app.plain import LONGEST_PIPED, Lines
from core.config_file import change_settings
from core.errors import UsageError
from core.paths import Home
from core.settings import read_settings
from core.store import Store
from tests.app.conftest import Result, answer, learned
from tests.hooked_decoder import HookedDecoder
from tests.spoiled import QUICK, THOROUGH

Run = Callable[..., Result]

EVIL = (
    "\x1b]52;c;cm0gLXJm\x07clip \x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\ \x1b]0;title\x07 \x1b[2J\x1b[1;1H "
    "\x9b31mred \x9d52;c;eA==\x9c \x90q\x9c \r\x08\x0b\x0c\x7f \u202eback\u202c \u2066turn\u2069 end"
)
OBEYED = set(map(chr, [*range(9), *range(11, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(), max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(["prompt", "a", "b", "chosen", "rejected", "text", "content", ""])
TEXTS = st.text(st.characters(), max_size=30)
PAIR = st.dictionaries(FIELDS, TEXTS | ANYTHING | st.lists(st.fixed_dictionaries({"content": TEXTS}), max_size=2))
"""As in JSON, halves of characters are text too."""


def reads_or_says_why(read: Callable[[], object]) -> object:
    """What was read; None when it was refused in one line. Anything else fails."""
    try:
        return read()
    except UsageError as error:
        said = str(error)
    assert "\n" not in said
    return None


# --- JSON lines -------------------------------------------------------------------------------------------------


def lines_of(values: list[Any]) -> bytes:
    return "\n".join(json.dumps(value, ensure_ascii=True) for value in values).encode()


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Lines of pairs, most of them odd, or any bytes."""
    data = lines_of(draw(st.lists(PAIR | ANYTHING, max_size=4)))
    return (
        draw(st.binary(max_size=60)) if draw(st.integers(0, 5)) == 0 else data + draw(st.sampled_from([b"", b"\xff"]))
    )


def check_lines(folder: Path, data: bytes) -> None:
    path = folder / "lines.jsonl"
    path.write_bytes(data)
    for pair in reads_or_says_why(lambda: read_pairs(path)) or ():  # type: ignore[attr-defined]
        for text in (pair.prompt, *pair.texts):
            assert text.strip()
            assert len(text) <= LONGEST_TEXT
            text.encode()
    for prompt in reads_or_says_why(lambda: read_prompts(path)) or ():  # type: ignore[attr-defined]
        prompt.encode()
    reads_or_says_why(lambda: read_conversations(path))


@given(data=files())
@QUICK
def test_a_file_of_lines_is_read_or_says_why(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    check_lines(tmp_path_factory.getbasetemp(), data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(data=files())
@THOROUGH
def test_files_of_lines_are_read_or_say_why(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    check_lines(tmp_path_factory.getbasetemp(), data)


def test_signs_that_json_allows_inside_a_line_do_not_end_it(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    value = {"prompt": "one\u2028two\x85three", "a": "first", "b": "second"}
    path.write_text(json.dumps(value, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert read_prompts(path) == ["one\u2028two\x85three"]
    assert len(read_pairs(path)) == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"[" * 100_000, "line 1, is not JSON"),
        (b'{"prompt": ' + b"9" * 10_000 + b"}", "line 1, is not JSON"),
        (b"\x00" * 100, "is not a text but a binary file"),
        (b"\xff\xfea\x00", "is not a text file in UTF-8"),
    ],
)
def test_what_is_no_line_of_json_is_one_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "odd.jsonl").write_bytes(data)
    with pytest.raises(UsageError, match=said):
        read_prompts(tmp_path / "odd.jsonl")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="this system has no such device")
def test_a_file_without_an_end_is_not_read_to_its_end() -> None:
    with pytest.raises(UsageError, match=f"larger than {MAX_FILE_BYTES // 1_000_000} MB"):
        read_prompts(Path("/dev/zero"))


# --- settings ---------------------------------------------------------------------------------------------------

TOML = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.tuples(
            st.sampled_from(["theme", "clap", "backbone", "drafts.temperature", "drafts", "keys", "learning.fast"]),
            st.sampled_from(['"\\u0000"', "nan", "-1e999", "9" * 30, "true", '"light"', "[[]]", "{a=1}", "1979-05-27"])
            | st.text(max_size=10),
        ).map(" = ".join),
        max_size=4,
    ).map("\n".join),
)  # fmt: skip


def check_settings(folder: Path, text: str) -> None:
    home = Home(folder / "settings")
    home.folder.mkdir(exist_ok=True)
    home.config_file.write_bytes(text.encode("utf-8", "surrogatepass"))
    reads_or_says_why(lambda: read_settings(home))
    reads_or_says_why(lambda: change_settings(home, {"theme": "light"}))


@given(text=TOML)
@QUICK
def test_settings_are_read_or_say_why(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check_settings(tmp_path_factory.getbasetemp(), text)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(text=TOML)
@THOROUGH
def test_many_settings_are_read_or_say_why(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    check_settings(tmp_path_factory.getbasetemp(), text)


@pytest.mark.parametrize("data", [b"a = " + b"[" * 50_000, b"\xff\xfe", b"keys = 3", b"[drafts]\ntemperature = nan"])
def test_settings_that_are_none_are_one_line(tmp_path: Path, data: bytes) -> None:
    home = Home(tmp_path)
    home.config_file.write_bytes(data)
    with pytest.raises(UsageError) as said:
        read_settings(home)
    assert "\n" not in str(said.value)
    reads_or_says_why(lambda: change_settings(home, {"theme": "light"}))


# --- what is piped in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("piped", "said"),
    [
        ("text\0text", "not text but a binary file"),
        ("bytes that are none: \udcff", "not text in UTF-8"),
        ("x" * (MAX_PIPED_CHARACTERS + 1), "too long: PenPal reads about 3,000 words at once"),
    ],
)
def test_what_is_piped_in_and_is_no_prompt_is_one_line(penpal: Run, piped: str, said: str) -> None:
    found = penpal("write", "Reply.", piped=piped)
    assert (found.code, found.err.count("\n")) == (2, 1)
    assert said in found.err


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", os.urandom(5000) + b"\xff", b"\xed\xa0\x80"])
@pytest.mark.parametrize("language", ["C", "C.UTF-8"])
def test_bytes_that_are_no_text_are_one_line(data: bytes, language: str) -> None:
    environment = {**os.environ, "LC_ALL": language, "PYTHONUTF8": "0"}
    program = [sys.executable, "-c", "from app.cli.prompts import read_piped; read_piped()"]
    ended = subprocess.run(program, input=data, env=environment, capture_output=True, check=False)
    assert b"UsageError: What was piped in is not text" in ended.stderr.splitlines()[-1]


def test_a_line_without_an_end_is_left_out_of_a_plain_chat() -> None:
    lines = Lines(io.StringIO("x" * (3 * LONGEST_PIPED) + "\nWrite about the sea.\n"), out := io.StringIO())
    assert lines.ask("What? ") == "Write about the sea."
    assert "That line is too long and was left out" in out.getvalue()
    assert len(out.getvalue()) < 1000


# --- the terminal -----------------------------------------------------------------------------------------------


@given(text=st.text(st.characters()) | st.text(st.sampled_from([*sorted(OBEYED), *"a\n日\ud800"])))
@QUICK
def test_nothing_that_a_terminal_obeys_comes_through(text: str) -> None:
    for shown in (harmless(text), escaped(json.dumps(text, ensure_ascii=False))):
        assert not OBEYED & set(shown)
        shown.encode()
    assert json.loads(escaped(json.dumps(text, ensure_ascii=False))) == text
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize(
    ("command", "piped"),
    [
        (["write", EVIL], None),
        (["write", "-n", "2", EVIL], None),
        (["write", "--json", EVIL], None),
        (["pairs", "list"], None),
        (["pairs", "list", "--json"], None),
        (["chat", "--plain"], f"{EVIL}\n1\nr {EVIL}\n1\n\n"),
        (["rate", "--plain", "--from", "PAIRS"], "1\nv\nq\n"),
        (["personalize", "--dry-run"], None),
        (["personalize", "--force"], None),
        (["encoder", "list"], None),
        (["encoder", "show", "VOICE"], None),
        (["encoder", "show", "VOICE", "--json"], None),
        (["forget", "--search", "clip"], ""),
        (["feedback", "edit", "1", "--file", EVIL.replace("/", "")], None),
        (["export", EVIL.replace("/", "") + "/x"], None),
        (["import", EVIL.replace("/", "")], None),
        (["pack", "show", EVIL.replace("/", "")], None),
        (["encoder", "use", EVIL], None),
        (["write", "Hi", "--context", EVIL], None),
        (["rate", "--prompts", EVIL.replace("/", "")], None),
    ],
)
def test_no_command_shows_what_a_terminal_obeys(
    penpal: Run, decoder: HookedDecoder, penpal_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    command: list[str], piped: str | None,
) -> None:  # fmt: skip
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "dumb")  # so that what colours the output is not mistaken for what is in the texts
    decoder.texts = [f"{EVIL} One!", f"{EVIL} two."]
    store = Store(penpal_home / "penpal.db")
    for number in range(4):
        answer(store, f"{EVIL} {number}", texts=(f"{EVIL} {number}!", f"{EVIL} again"), note=EVIL)
    for number in range(12):
        answer(store, f"Thing {number} {EVIL}")
    store.close()
    voice = learned(penpal_home, 1.0, card=EVIL, reason=EVIL)
    (tmp_path / "pairs.jsonl").write_bytes(lines_of([{"prompt": EVIL, "a": f"{EVIL} a", "b": f"{EVIL} b"}]))
    places = {"PAIRS": str(tmp_path / "pairs.jsonl"), "VOICE": voice.id}
    found = penpal(*(places.get(word, word) for word in command), piped=piped)
    assert found.out + found.err
    assert sorted(OBEYED & set(found.out + found.err)) == []
