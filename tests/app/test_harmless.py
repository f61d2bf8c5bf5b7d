"""Text that a terminal shows and never obeys."""

from __future__ import annotations

import sys

import pytest
from rich.cells import cell_len

from app.cli.output import print_text
from app.harmless import harmless, pasted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words", "plain words"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;a title\x07", "]0;a title"),
        ("\x9b31m and \x90q\x9c", "31m and q"),
        ("NUL \x00, bell \x07, back \x08, delete \x7f", "NUL , bell , back , delete "),
        ("turned \u202egnirts\u202c", "turned gnirts"),
        ("half \ud800 a character", "half \ufffd a character"),
    ],
)
def test_what_a_terminal_obeys_is_gone_and_the_rest_stays(text: str, shown: str) -> None:
    assert harmless(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "two\nlines\tand a tab",
        "naïve café",
        "日本語のテキスト",
        "שלום עולם",
        "مرحبا",
        "👨‍👩‍👧 👍🏽 🇨🇭",
        "e\u0301",
        "a\u200fb",
        "soft\xadhyphen",
    ],
)
def test_writing_of_all_kinds_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


def test_it_takes_as_many_columns_as_before() -> None:
    text = "\x1b[31m日本\x00語\x9b \u202eabc\ud800"
    assert cell_len(harmless(text)) == cell_len(text)


def test_lines_of_a_paste_end_as_they_do_here() -> None:
    assert pasted("a\r\nb\rc\nd") == "a\nb\nc\nd"


@pytest.mark.parametrize(("terminal", "printed"), [(True, "[31mred\n"), (False, "\x1b[31mred\n")])
def test_a_printed_text_is_harmless_on_a_terminal_and_to_the_letter_in_a_pipe(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, terminal: bool, printed: str
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    print_text("\x1b[31mred")
    assert capsys.readouterr().out == printed
