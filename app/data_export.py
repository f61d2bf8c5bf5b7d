"""What a person made, in files that other programs and people read (docs/data-format.md): JSON lines and Markdown."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.evidence import Evidence, Side
from core.exported_rows import exported_rows
from core.feedback import Act, Draft, in_force
from core.files import make_folder, whole_file, write_atomically
from core.paths import Home
from core.store import Conversation, Store, Turn

NAME_CHARACTERS = 40
MARKDOWN = "conversations"
DONE = {
    "pick": "picked", "tie": "found as good as each other", "both_bad": "found both bad", "skip": "skipped",
    "edit": "edited", "redo": "asked for another one", "accept": "kept", "star": "starred",
}  # fmt: skip


def export_data(store: Store, home: Home, folder: Path, *, since: str = "") -> dict[str, int]:
    """Writes TABLE.jsonl for every table, pairs.jsonl, and a Markdown file for every conversation that is not deleted.

    `since`: only what was written from this time on, in UTC. Returns how many lines or files each name has.
    """
    make_folder(folder / MARKDOWN)
    counts: Counter[str] = Counter()
    with exported_rows(home.database) as snapshot:
        for table in snapshot.tables():
            counts[f"{table}.jsonl"] = _write_lines(folder / f"{table}.jsonl", snapshot.rows(table, since=since))
        ids = [row["id"] for row in snapshot.rows("conversations") if row["deleted_utc"] is None]
    pairs = (pair_row(e) for e in store.evidence(backbone_id=None) if e.created_utc >= since)
    counts["pairs.jsonl"] = _write_lines(folder / "pairs.jsonl", pairs)
    for conversation_id in ids:
        turns = store.thread(conversation_id)
        if turns and turns[-1].created_utc >= since:
            conversation = store.conversation(conversation_id)
            text = as_markdown(store, conversation, turns)
            write_atomically(folder / MARKDOWN / _file_name(conversation), text.encode("utf-8", "replace"))
            counts[f"{MARKDOWN}/*.md"] += 1
    return dict(counts)


def pair_row(evidence: Evidence) -> dict[str, Any]:
    """One piece of evidence: a preference in the form that trainers such as TRL read, and where it comes from."""
    return {
        "prompt": [asdict(message) for message in evidence.messages],
        "chosen": _message(evidence.chosen),
        "rejected": _message(evidence.rejected),
        **{
            name: getattr(evidence, name)
            for name in ("tie", "weight", "reason", "source", "context", "act_id", "turn_id", "created_utc")
        },
    }


def as_markdown(store: Store, conversation: Conversation, turns: list[Turn]) -> str:
    """A conversation as a person reads it: prompts and drafts quoted, what was done, and what was kept."""
    blocks = [f"# {_one_line(conversation.title)}", f"{conversation.created_utc[:16].replace('T', ' ')} UTC"]
    for turn in turns:
        drafts, acts = store.drafts(turn.id), store.acts(turn.id)
        blocks += [f"## {turn.created_utc[:16].replace('T', ' ')}", _quoted(turn.prompt)]
        for draft in drafts:
            unfinished = "" if draft.is_done else f" ({draft.status})"
            blocks += [f"**Draft {draft.id}**{unfinished}", _quoted(draft.text)]
        if done := [_told(act, drafts) for act in in_force(acts)]:
            blocks.append("\n".join(f"- {line}" for line in done))
        if kept := store.accepted_text(turn.id):
            blocks += ["**Kept**", kept]
    return "\n\n".join(blocks) + "\n"


def _told(act: Act, drafts: list[Draft]) -> str:
    shown = {draft.id for draft in drafts}
    about = f" draft {act.draft_id}" if act.draft_id in shown else ""
    note = f": {_one_line(act.note)}" if act.note else ""
    return f"{DONE.get(act.kind, act.kind)}{about}{note}"


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> int:
    count = 0
    with whole_file(path) as file:
        for row in rows:
            # Half of a character, which a paste may bring, is no UTF-8.
            file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            count += 1
    return count


def _message(side: Side | None) -> list[dict[str, str]] | None:
    return None if side is None else [{"role": "assistant", "content": side.text}]


def _file_name(conversation: Conversation) -> str:
    words = "-".join(re.findall(r"\w+", conversation.title))[:NAME_CHARACTERS].strip("-").lower()
    return f"{conversation.id:05d}-{words or 'untitled'}.md"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines() or [""])
