"""Text that comes from outside: prompts from a file, a text from a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from core.errors import UsageError
from core.protocols import Message

T = TypeVar("T")
MAX_FILE_BYTES = 16_000_000


def read_text(path: Path) -> str:
    """A UTF-8 file. Raises UsageError, naming it, when it cannot be read as text."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{path} is larger than {MAX_FILE_BYTES // 1_000_000} MB: give a smaller file.")
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not a text file in UTF-8.") from error


def read_piped() -> str:
    """All of stdin. Raises UsageError when it is not text."""
    try:
        text = sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError("What was piped in is not text in UTF-8.") from error
    if "\0" in text:
        raise UsageError("What was piped in is not text but a binary file.")
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
    for number, line in enumerate(read_text(path).splitlines(), 1):
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
        return Message("text", text)
    return Message("user", _prompt(value, where))


def _prompt(value: Any, where: str) -> str:
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageError(f"{where} has no text in a field 'prompt'.")
    return prompt
