"""`penpal write`: drafts on stdout, everything else on stderr, nothing lost."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.wiring import PenPal
from core.store import Store
from tests.app.conftest import Result, learned
from tests.hooked_decoder import HookedDecoder

Run = Callable[..., Result]


def test_one_draft_is_printed_alone(penpal: Run) -> None:
    assert penpal("write", "Say hello.") == Result(0, "A warm and friendly draft.\n", "")


def test_several_drafts_have_headings_with_their_ids(penpal: Run) -> None:
    assert penpal("write", "Say hello.", "-n", "2").out == (
        "--- draft 1 ---\nA warm and friendly draft.\n\n--- draft 2 ---\nA dry one.\n\n"
    )


def test_a_piped_text_is_put_below_the_prompt(penpal: Run, decoder: HookedDecoder) -> None:
    penpal("write", "Reply, kindly.", piped="Dear Ann,\nwhen will you pay?\n")
    assert decoder.asked[0][0][0].content == "Reply, kindly.\n\nDear Ann,\nwhen will you pay?"


def test_a_piped_text_may_be_the_whole_prompt(penpal: Run, decoder: HookedDecoder) -> None:
    penpal("write", piped="Say hello.\n")
    assert decoder.asked[0][0][0].content == "Say hello."


def test_a_piped_binary_file_is_one_clear_line(penpal: Run) -> None:
    found = penpal("write", "Reply.", piped="GIF89a\0\0")
    assert found == Result(2, "", "penpal: What was piped in is not text but a binary file.\n")


@pytest.mark.parametrize("piped", [None, "", " \n"])
def test_an_empty_prompt_is_one_clear_line(penpal: Run, piped: str | None, penpal_home: Path) -> None:
    assert penpal("write", "  ", piped=piped) == Result(
        2, "", "penpal: There is nothing to write about: give a prompt, or pipe a text in.\n"
    )
    assert not penpal_home.exists()


def test_a_prompt_that_is_too_long_offers_to_cut(penpal: Run, decoder: HookedDecoder) -> None:
    decoder.room = 10
    assert penpal("write", "word " * 12) == Result(
        2,
        "",
        "penpal: The prompt is too long: 12 tokens, 10 fit. Shorten it, or add --cut to leave out its middle.\n",
    )
    assert penpal("write", "word " * 12, "--cut").code == 0


def test_json_names_everything_that_made_a_draft(penpal: Run) -> None:
    first, second = penpal("write", "Say hello.", "-n", "2", "--seed", "7", "--json").json
    assert first.pop("seconds") >= 0
    assert first == {
        "id": 1,
        "turn_id": 1,
        "text": "A warm and friendly draft.",
        "status": "done",
        "encoder": "generic",
        "seed": 7,
        "tokens": 5,
        "notice": None,
    }
    assert (second["id"], second["turn_id"]) == (2, 1)
    assert second["seed"] not in (7, 8)


@pytest.mark.parametrize(
    ("options", "context"), [((), None), (("--context", "Club "), "club"), (("--context", ""), None)]
)
def test_the_kind_of_writing_is_kept_with_the_drafts(
    penpal: Run, store: Store, options: tuple[str, ...], context: str | None
) -> None:
    penpal("write", "Say hello.", *options)
    assert store.turn(1).context == context


@pytest.mark.parametrize("command", [("write", "Say hello."), ("chat",), ("rate",)])
def test_a_context_with_odd_letters_is_one_clear_line(penpal: Run, command: tuple[str, ...]) -> None:
    assert penpal(*command, "--context", "a/b") == Result(
        2,
        "",
        "penpal: 'a/b' cannot name a kind of writing: use up to 32 letters (a-z), digits, spaces, - and _.\n",
    )


def test_chat_and_rate_hand_their_context_to_the_screen(penpal: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr("app.tui.run_chat", lambda penpal, attached, *, context: seen.append(context))
    monkeypatch.setattr("app.tui.run_rate", lambda penpal, prompts, pairs, *, context, goal: seen.append(context))
    penpal("chat", "--context", "mail")
    penpal("rate", "--context", "review")
    assert seen == ["mail", "review"]


def test_one_draft_takes_the_mean_and_several_explore(penpal: Run, store: Store) -> None:
    penpal("write", "Say hello.", "--seed", "1")
    penpal("write", "Say hello.", "--seed", "1", "-n", "2")
    one, left, right = (store.draft(number).z for number in (1, 2, 3))
    assert one == (0.0,) * 8
    assert len({one, left, right}) == 3


def test_the_active_voice_writes_unless_the_generic_one_is_asked_for(
    penpal: Run, penpal_home: Path, store: Store
) -> None:
    record = learned(penpal_home, 1.0)
    store.activate_encoder(record.id, "test")
    assert penpal("write", "Say hello.", "--json").json[0]["encoder"] == record.id
    assert penpal("write", "Say hello.", "--json", "--generic").json[0]["encoder"] == "generic"


def test_a_damaged_voice_is_one_clear_line_with_the_way_out(penpal: Run, penpal_home: Path, store: Store) -> None:
    record = learned(penpal_home, 1.0)
    store.activate_encoder(record.id, "test")
    file = penpal_home / "encoders" / record.file
    file.write_bytes(file.read_bytes()[:-1])
    assert penpal("write", "Say hello.") == Result(
        1,
        "",
        f"penpal: The encoder {record.id[:12]} is missing or damaged ({file}): 'penpal encoder rollback'.\n",
    )


def test_it_is_said_when_drafts_are_generic_although_they_should_not_be(
    penpal: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def distrusted(self: PenPal) -> bool:
        self.latents_off = "llama.cpp has changed; run 'penpal doctor'."
        return False

    monkeypatch.setattr(PenPal, "latents_trusted", distrusted)
    found = penpal("write", "Say hello.")
    assert (found.out, found.err) == (
        "A warm and friendly draft.\n",
        "penpal: llama.cpp has changed; run 'penpal doctor'.\n",
    )
    assert "llama.cpp" in penpal("write", "Say hello.", "--json").json[0]["notice"]
    assert penpal("write", "Say hello.", "--generic").err == ""


def test_ctrl_c_stops_writing_and_keeps_the_rest(penpal: Run, decoder: HookedDecoder, store: Store) -> None:
    decoder.before_token = lambda number: signal.raise_signal(signal.SIGINT) if number == 2 else None
    assert penpal("write", "Say hello.") == Result(130, "A warm\n", "")
    assert (store.draft(1).text, store.draft(1).status) == ("A warm", "cancelled")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_twice_stops_at_once_and_keeps_the_rest(penpal: Run, decoder: HookedDecoder, store: Store) -> None:
    def press_twice(number: int) -> None:
        if number == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    decoder.before_token = press_twice
    assert penpal("write", "Say hello.").code == 130
    assert (store.draft(1).text, store.draft(1).status) == ("A warm", "cancelled")


def test_what_was_written_before_an_error_is_kept(penpal: Run, decoder: HookedDecoder, store: Store) -> None:
    def break_down(number: int) -> None:
        if number == 2:
            raise OSError(5, "Input/output error", "smollm2.gguf")

    decoder.before_token = break_down
    assert penpal("write", "Say hello.") == Result(1, "", "penpal: smollm2.gguf: Input/output error.\n")
    assert store.draft(1).text == "A warm"


def test_a_draft_streams_to_a_terminal(
    penpal: Run, decoder: HookedDecoder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[str] = []

    def look(number: int) -> None:
        seen.append(capsys.readouterr().out)

    decoder.before_token = look
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda self: self is sys.stdout, raising=False)
    found = penpal("write", "Say hello.")
    assert [*seen, found.out] == ["", "A", " warm", " and", " friendly", " draft.\n"]


def test_text_that_is_not_utf8_is_one_clear_line(penpal: Run) -> None:
    assert penpal("write", "Say \udcff.") == Result(2, "", "penpal: That text is not valid UTF-8.\n")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("p.txt", b"\n\n", "holds no prompt: put one on each line."),
        ("p.txt", b"\xff\xfe\x00", "is not a text file in UTF-8."),
        ("p.jsonl", b'{"prompt": "Hi"}\n{oops', ", line 2, is not JSON."),
        ("p.jsonl", b'{"text": "Hi"}', ", line 1, has no text in a field 'prompt'."),
    ],
)
def test_a_bad_file_of_prompts_is_one_clear_line(
    penpal: Run, tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    found = penpal("rate", "--prompts", file)
    assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
    assert found.err.rstrip("\n").endswith(f"{file}{'' if problem.startswith(',') else ' '}{problem}")


def test_prompts_come_from_text_and_from_json_lines(tmp_path: Path) -> None:
    from app.cli.prompts import read_prompts

    (tmp_path / "p.txt").write_text("One.\n\n  Two.  \n", encoding="utf-8")
    (tmp_path / "p.jsonl").write_text('{"prompt": "One."}\n"Two."\n', encoding="utf-8")
    assert read_prompts(tmp_path / "p.txt") == read_prompts(tmp_path / "p.jsonl") == ["One.", "Two."]


def test_chat_and_rate_without_a_terminal_say_what_to_do_instead(penpal: Run) -> None:
    for command in ("chat", "rate"):
        found = penpal(command, piped="")
        assert (found.code, found.out, found.err.count("\n")) == (2, "", 1)
        assert f"'penpal {command}' needs a terminal" in found.err
        assert "penpal write" in found.err


def test_own_prompts_are_rated_alone_once_there_are_enough(penpal: Run, store: Store) -> None:
    from app.cli.writing import _usual_prompts

    assert len(_usual_prompts(store)) > 10
    for number in range(10):
        penpal("write", f"prompt {number}")
    assert _usual_prompts(store) == [f"prompt {number}" for number in reversed(range(10))]
