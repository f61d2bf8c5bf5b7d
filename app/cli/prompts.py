"""Text that comes from outside: prompts from a file, a text from a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from app.harmless import whole
from core.errors import UsageError
from core.protocols import Message

T = TypeVar("T")
MAX_FILE_BYTES = 16_000_000
MAX_PIPED_CHARACTERS = 1_000_000
"""Twenty times what PenPal reads at once: what is longer came by mistake, and is not read to its end."""


def read_text(path: Path) -> str:
    """A UTF-8 file, its lines ended as everywhere in PenPal. Raises UsageError, naming it, when it is no such text."""
    try:
        with path.open("rb") as file:  # so many bytes, and no size asked before: it may be a pipe
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{path} is larger than {MAX_FILE_BYTES // 1_000_000} MB: give a smaller file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file in UTF-8.") from error
    if "\0" in text:
        raise UsageError(f"{path} is not a text but a binary file.")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_piped() -> str:
    """All of stdin. Raises UsageError when it is not text, or too much."""
    try:
        text = sys.stdin.read(MAX_PIPED_CHARACTERS + 1)
    except UnicodeDecodeError as error:
        raise UsageError("What was piped in is not text in UTF-8.") from error
    if len(text) > MAX_PIPED_CHARACTERS:
        raise UsageError("What was piped in is too long: PenPal reads about 3,000 words at once.")
    if "\0" in text:
        raise UsageError("What was piped in is not text but a binary file.")
    if text != whole(text):  # where the system's language is 'C', Python hands on bytes that are no text as such halves
        raise UsageError("What was piped in is not text in UTF-8.")
    return text


def read_prompts(path: Path) -> list[str]:
    """One prompt a line; a .jsonl file has a JSON object with a field 'prompt', or a JSON string, on each line."""
    if path.suffix.lower() == ".jsonl":
        prompts = [_prompt(value, where) for where, value in json_lines(path)]
    else:
        prompts = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return _not_none(prompts, path)


def read_conversations(path: Path) -> list[list[Message]]:
    """As `read_prompts`; a line of a .jsonl file may have a field 'text' instead, to be continued as it is."""
    if path.suffix.lower() != ".jsonl":
        return [[Message("user", prompt)] for prompt in read_prompts(path)]
    return _not_none([[_message(value, where)] for where, value in json_lines(path)], path)


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Where each line that is not empty stands, in words, and its JSON. Raises UsageError, naming the line."""
    # At line feeds only: JSON may have the other signs that Python ends lines at as they are.
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number},"
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{where} is not JSON.") from error


def _not_none(found: list[T], path: Path) -> list[T]:
    if not found:
        raise UsageError(f"{path} holds no prompt: put one on each line.")
    return found


def _message(value: Any, where: str) -> Message:
    text = value.get("text") if isinstance(value, dict) else None
    if isinstance(text, str) and text.strip():
        return Message("text", whole(text))
    return Message("user", _prompt(value, where))


def _prompt(value: Any, where: str) -> str:
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageError(f"{where} has no text in a field 'prompt'.")
    return whole(prompt)
