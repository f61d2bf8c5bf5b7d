"""Text that comes from outside: prompts from a file, a text from a pipe."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from core.errors import UsageError

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
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise UsageError("What was piped in is not text in UTF-8.") from error


def read_prompts(path: Path) -> list[str]:
    """One prompt a line; a .jsonl file has a JSON object with a field 'prompt', or a JSON string, on each line."""
    lines = [(number, line.strip()) for number, line in enumerate(read_text(path).splitlines(), 1)]
    is_jsonl = path.suffix.lower() == ".jsonl"
    prompts = [_from_json(line, path, number) if is_jsonl else line for number, line in lines if line]
    if not prompts:
        raise UsageError(f"{path} holds no prompt: put one on each line.")
    return prompts


def _from_json(line: str, path: Path, number: int) -> str:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path}, line {number}, is not JSON.") from error
    prompt = value.get("prompt") if isinstance(value, dict) else value
    if not isinstance(prompt, str) or not prompt.strip():
        raise UsageError(f"{path}, line {number}, has no text in a field 'prompt'.")
    return prompt
