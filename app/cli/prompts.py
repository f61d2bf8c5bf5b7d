"""Text that comes from outside: prompts from a file, a text from a pipe."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from core.errors import UsageError
from core.protocols import Message

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
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), 1)]
    is_jsonl = path.suffix.lower() == ".jsonl"
    prompts = [_from_json(line, path, number) if is_jsonl else line for number, line in lines if line]
    if not prompts:
        raise UsageError(f"{path} holds no prompt: put one on each line.")
    return prompts


def read_conversations(path: Path) -> list[list[Message]]:
    """As `read_prompts`; a line of a .jsonl file may have a field 'text' instead, to be continued as it is."""
    if path.suffix.lower() != ".jsonl":
        return [[Message("user", prompt)] for prompt in read_prompts(path)]
    found = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if line.strip():
            value = _json(line, path, number)
            text = value.get("text") if isinstance(value, dict) else None
            if isinstance(text, str) and text.strip():
                found.append([Message("text", text)])
            else:
                found.append([Message("user", _prompt(value, path, number))])
    if not found:
        raise UsageError(f"{path} holds no prompt: put one on each line.")
    return found


def _from_json(line: str, path: Path, number: int) -> str:
    return _prompt(_json(line, path, number), path, number)


def _json(line: str, path: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}, line {number}, is not JSON.") from error


def _prompt(value: Any, path: Path, number: int) -> str:
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageError(f"{path}, line {number}, has no text in a field 'prompt'.")
    return prompt
