"""How the cost of `penpal personalize` grows with the number of choices: time and memory of a process of its own.

    python -m benchmarks.personalize_scale --work DIR [--pairs 1000 5000 10000 50000]

`--work` is that of `benchmarks.personalize`, whose pool supplies the drafts. Beyond it, rounds are repeated as prompts
of their own (their texts differ in a number), with the posteriors of the originals as if they had been read, since
reading costs the same for each text and happens when a choice is made. That cost is measured apart.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from app.tastes import TASTES
from app.wiring import PenPal
from benchmarks.people import PENPAL, Pool
from core.paths import Home
from core.protocols import Message
from models.text_vectors import text_key


def fill(penpal: PenPal, pool: Pool, pairs: int) -> None:
    """So many picks, the pool's rounds over and over."""
    store, space = penpal.store, penpal.clap.id
    choices = pool.choices(TASTES["first-person"], 0)
    drafts = {draft.id: draft for pair in pool.rounds for draft in pair}
    originals = {choice.turn_id: store.turn(choice.turn_id) for choice in choices}
    with closing(sqlite3.connect(penpal.home.database)) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(drafts)") if row[1] not in ("id", "turn_id", "text")]
        names = ", ".join(columns)
        for i in range(pairs):
            choice = choices[i % len(choices)]
            turn = originals[choice.turn_id]
            mark = f" ({i})"
            messages = [{"role": m.role, "content": m.content + mark} for m in turn.messages]
            new_turn = db.execute(
                "INSERT INTO turns (conversation_id, prompt, messages, created_utc) VALUES (?, ?, ?, ?)",
                [turn.conversation_id, turn.prompt + mark, json.dumps(messages), turn.created_utc],
            ).lastrowid
            ids = []
            for old in (choice.better, choice.worse):
                copied = db.execute(
                    f"INSERT INTO drafts (turn_id, text, {names}) SELECT ?, ?, {names} FROM drafts WHERE id = ?",
                    [new_turn, drafts[old].text, old],
                )
                ids.append(copied.lastrowid)
            db.execute(
                "INSERT INTO feedback (kind, turn_id, draft_id, other_draft_id, created_utc) "
                "VALUES ('pick', ?, ?, ?, ?)",
                [new_turn, *ids, turn.created_utc],
            )
            known = [text_key(turn.messages, drafts[old].text) for old in (choice.better, choice.worse)]
            told = [Message(m["role"], m["content"]) for m in messages]  # type: ignore[arg-type]
            keys = [text_key(told, drafts[old].text) for old in (choice.better, choice.worse)]
            for here, new, old_key in (
                (space, keys[0], known[0]),
                (space, keys[1], known[1]),
                (f"{space}:prompts", text_key(told, ""), text_key(turn.messages, "")),
            ):
                db.execute(
                    "INSERT OR IGNORE INTO vectors SELECT space, ?, value FROM vectors WHERE space = ? AND key = ?",
                    [new, here, old_key],
                )
        db.commit()


def main() -> None:
    """Prints a table of Markdown, and writes rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="*", default=[200, 1000, 5000, 10_000, 50_000])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    pool = Pool(Home(options.work / "pool"), 10**6)
    rows: list[dict[str, Any]] = []
    print("| choices | seconds, all | seconds per 1,000 | peak memory, MB |\n| --- | --- | --- | --- |")
    for pairs in options.pairs:
        with tempfile.TemporaryDirectory() as folder, pool.person([]) as penpal:
            fill(penpal, pool, pairs)
            environment = {**os.environ, "PENPAL_HOME": str(penpal.home.folder), "TMPDIR": folder}
            started = time.monotonic()
            command = [sys.executable, "-c", PENPAL, "personalize", "--json", "--no-drafts"]
            process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            seconds = time.monotonic() - started
            if status:
                raise SystemExit(f"personalize failed with {pairs} choices")
            rows.append({"pairs": pairs, "seconds": seconds, "peak_mb": peak_mb(used)})
            print(f"| {pairs:,} | {seconds:.1f} | {1000 * seconds / pairs:.2f} | {peak_mb(used):.0f} |", flush=True)
    row = read_speed(pool)
    print(f"\nReading a new pair: {row['milliseconds_per_pair']:.0f} ms (two texts of the pool, warm, nothing cached).")
    if options.out:
        (options.out / "personalize_scale.json").write_text(json.dumps([*rows, row], indent=1) + "\n")


def peak_mb(used: resource.struct_rusage) -> float:
    """Peak resident memory; Linux counts in kB."""
    return used.ru_maxrss / 1024


def read_speed(pool: Pool, pairs: int = 50) -> dict[str, Any]:
    """Median time to read and cache one pair."""
    with pool.person([], unread=True) as penpal:
        vectors, seconds = penpal.text_vectors(), []
        for left, right in pool.rounds[:pairs]:
            messages = penpal.store.turn(left.turn_id).messages
            started = time.monotonic()
            vectors.posteriors([(messages, left.text), (messages, right.text)])
            seconds.append(time.monotonic() - started)
    return {"milliseconds_per_pair": 1000 * sorted(seconds)[len(seconds) // 2]}


if __name__ == "__main__":
    main()
