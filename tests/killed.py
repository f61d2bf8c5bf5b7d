"""A home whose programs are killed while they write: what it must hold afterwards, and what it was seen to hold."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from app.tui.unsaved_texts import SAVE_EVERY_S
from app.wiring import open_penpal
from core.files import file_sha256
from core.paths import Home
from models.checkpoint import Arrays
from tests.app.pseudo_terminal import Terminal

ROOT = Path(__file__).resolve().parent.parent
PENPAL = (sys.executable, "-m", "app.cli")
PATIENCE_S = 600.0
"""On a machine that has other things to do; idle a screen is there in one or two seconds."""
LATE_S = 3.0
"""So much later than `SAVE_EVERY_S` a busy machine may save what is typed; idle it is some hundredths."""
QUIET_S = 0.7
"""An open screen that has written, and then nothing for so long, is done with it."""
AFTER_S = 0.02
"""The longest time from a change of a file to the kill."""
WORDS_IN = "SELECT prompt FROM turns UNION ALL SELECT text FROM feedback UNION ALL SELECT text FROM unsaved_texts"
THERE = "conversation_id NOT IN (SELECT value FROM json_each(?1))"
ROWS = {
    "conversations": "SELECT id, origin FROM conversations WHERE id NOT IN (SELECT value FROM json_each(?1))",
    "turns": f"SELECT id, prompt FROM turns WHERE {THERE}",
    "drafts": "SELECT drafts.id, text, turn_id FROM drafts JOIN turns ON turns.id = turn_id "
    f"WHERE status != 'writing' AND {THERE}",
    "feedback": "SELECT feedback.id, kind, turn_id, draft_id, other_draft_id, text FROM feedback "
    f"JOIN turns ON turns.id = turn_id WHERE {THERE}",
    "encoders": "SELECT id, file, origin FROM encoders WHERE ?1 IS NOT NULL",
    "encoder_activations": "SELECT id, encoder_id FROM encoder_activations WHERE ?1 IS NOT NULL",
}
"""By table: what never changes once it is there, but for conversations that are to be forgotten."""

Rows = dict[str, dict[Any, tuple[Any, ...]]]


class KilledHome:
    """One home through many kills; `look` fails when something that was seen in it is lost, or half written."""

    def __init__(self, home: Home, chance: random.Random) -> None:
        self.home, self.chance = home, chance
        self.kills: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        """Programs that were done before their kill came."""
        self.rows_checked = self.shown = self.words_lost = 0
        self.longest_lost_s = 0.0
        """The longest time that a word was on the screen before the kill that lost it."""
        self.to_forget: set[int] = set()
        """Conversations whose rows may go."""
        self._rows: Rows = {table: {} for table in ROWS}
        self._words: set[str] = set()
        self._words_made = 0

    # --- killing ----------------------------------------------------------------------------------------------

    def kill(self, name: str, process: subprocess.Popen[Any]) -> None:
        """Kills it, if it is still there."""
        process.kill()
        code = process.wait()
        assert code in (0, -signal.SIGKILL), f"{name} ended with {code}"
        (self.kills if code else self.ended)[name] += 1

    def kill_writing(self, name: str, terminal: Terminal) -> str:
        """Kills it while it writes into the home; returns what it had drawn until then."""
        self._wait_for_writes(terminal.process, lambda: terminal.read(0.001), most=4)
        self.kill(name, terminal.process)
        return terminal.rest()

    def run_and_kill(self, name: str, *command: str | Path, folder: Path | None = None) -> str:
        """Kills a command while it writes into the home, or into `folder`; returns what it had said until then."""
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                (*PENPAL, *command), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT
            )
            try:
                self._wait_for_writes(process, lambda: time.sleep(0.001), most=12, folder=folder)
                self.kill(name, process)
            finally:
                process.kill()
                said.seek(0)
                told = said.read().decode()
                print("$ penpal", *command, f"\n{told}")
            return told

    def _wait_for_writes(
        self, process: subprocess.Popen[Any], meanwhile: Callable[[], object], *, most: int, folder: Path | None = None
    ) -> None:
        """Until files were changed up to `most` times, and a moment longer; not longer than the program runs."""
        changes, seen = self.chance.randint(1, most), self._files(folder)
        since, changed = time.monotonic(), False
        while changes and process.poll() is None:
            meanwhile()
            waited_s, now = time.monotonic() - since, self._files(folder)
            if now != seen:
                changes, seen, since, changed = changes - 1, now, time.monotonic(), True
            elif changed and waited_s > QUIET_S and most < 12:
                break
            assert waited_s < PATIENCE_S, "it writes nothing"
        time.sleep(self.chance.uniform(0, AFTER_S))

    def _files(self, folder: Path | None) -> dict[str, tuple[int, int]]:
        found = {}
        for path in (path for place in (self.home.folder, folder) if place for path in place.rglob("*")):
            with suppress(FileNotFoundError):  # it was renamed just now
                stat = path.stat()
                found[str(path)] = (stat.st_size, stat.st_mtime_ns)
        return found

    # --- typing -----------------------------------------------------------------------------------------------

    @contextmanager
    def terminal(self, *command: str | Path) -> Iterator[Terminal]:
        opened = Terminal(*PENPAL, *command)
        try:
            yield opened
        finally:
            opened.close()

    def new_word(self) -> str:
        """One that is in no other text."""
        self._words_made += 1
        return f"w{self._words_made}x"

    def type_word(self, terminal: Terminal) -> str:
        """Types a word, and waits until the store has it."""
        word = self.new_word()
        terminal.send(f" {word} ")
        terminal.wait_for(word, within_s=PATIENCE_S)
        deadline = time.monotonic() + SAVE_EVERY_S + LATE_S
        while word not in self.texts():
            assert time.monotonic() < deadline, f"{word} was drawn, and not saved in time"
            terminal.read(0.02)
        self._words.add(word)
        return word

    def kill_typing(self, name: str, terminal: Terminal) -> str:
        """Kills it while words are typed: those that were drawn a moment before are in the store. Returns the last."""
        drawn_at: dict[str, float] = {}
        for _ in range(self.chance.randint(1, 6)):
            word = self.new_word()
            terminal.send(f" {word} ")
            terminal.wait_for(word, within_s=PATIENCE_S)
            drawn_at[word] = time.monotonic()
            terminal.read_for(self.chance.uniform(0, 0.75 * SAVE_EVERY_S))
        terminal.read_for(self.chance.uniform(0, 1.25 * SAVE_EVERY_S))
        killed_at = time.monotonic()
        self.kill(name, terminal.process)
        texts = self.texts()
        lost = {word: killed_at - at for word, at in drawn_at.items() if word not in texts}
        assert list(drawn_at)[len(drawn_at) - len(lost) :] == list(lost), "words in the middle are lost"
        assert max(lost.values(), default=0) < SAVE_EVERY_S + LATE_S, lost
        self.words_lost += len(lost)
        self.longest_lost_s = max(self.longest_lost_s, *lost.values(), 0)
        kept = [word for word in drawn_at if word not in lost]
        self._words |= set(kept)
        return kept[-1] if kept else ""

    def texts(self) -> str:
        """All that the person wrote, sent or not."""
        with self._database() as db:
            return "\n".join(text for (text,) in db.execute(WORDS_IN) if text)

    def drop_words(self, text: str) -> None:
        """They may go: the person deleted what they typed."""
        self._words -= set(text.split())

    # --- acts -------------------------------------------------------------------------------------------------

    def last_act(self) -> int:
        with self._database() as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM feedback").fetchone()[0])

    def has_act(self, kind: str, *, after: int) -> None:
        """Fails unless an act of which the screen said that it was done is in the store."""
        self.shown += 1
        with self._database() as db:
            done = [row[0] for row in db.execute("SELECT kind FROM feedback WHERE id > ?", [after])]
        assert kind in done, f"the screen showed a {kind}; stored are {done}"

    # --- looking ----------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Opens the home as the next program does, and fails unless it is whole and has all that it ever had."""
        self.voice_in_use()
        with self._database() as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert db.execute("PRAGMA foreign_key_check").fetchall() == []
            asked = json.dumps(sorted(self.to_forget))
            rows = {table: {row[0]: row for row in db.execute(sql, [asked])} for table, sql in ROWS.items()}
        for table, known in self._rows.items():
            lost = {key: (row, rows[table].get(key)) for key, row in known.items() if rows[table].get(key) != row}
            assert not lost, f"{table}: lost or changed {lost}"
        self._rows = rows
        self.rows_checked += sum(map(len, rows.values()))
        texts = set(self.texts().split())
        assert not self._words - texts, f"typed, stored and lost: {self._words - texts}"
        for voice, file, _ in rows["encoders"].values():
            assert file_sha256(self.home.encoders / file) == voice, f"voice {file} is listed and not whole"

    def voice_in_use(self) -> Arrays | None:
        """Its numbers; None: the generic one. Loaded as the programs do."""
        with closing(open_penpal(self.home)) as penpal:
            active = penpal.store.active_encoder()
            return penpal.load_encoder(active).arrays() if active else None

    def three_minutes_later(self) -> None:
        """For so long a run that learns gives way to drafts that a killed program seems to be writing."""
        with self._database() as db, db:
            db.execute("UPDATE drafts SET created_utc = '2026-01-01T00:00:00.000+00:00' WHERE status = 'writing'")

    def rows_of(self, conversation: int) -> tuple[int, int, int]:
        """How many turns, drafts and acts there are of a conversation."""
        of = "turn_id IN (SELECT id FROM turns WHERE conversation_id = ?1)"
        with self._database() as db:
            sql = (
                "SELECT (SELECT count(*) FROM turns WHERE conversation_id = ?1), "
                f"(SELECT count(*) FROM drafts WHERE {of}), (SELECT count(*) FROM feedback WHERE {of})"
            )
            found: tuple[int, int, int] = db.execute(sql, [conversation]).fetchone()
            return found

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.home.database, timeout=PATIENCE_S)) as db:
            yield db

    def figures(self) -> str:
        """What was done and found, in a line."""
        killed = ", ".join(f"{name} {count}" for name, count in sorted(self.kills.items()))
        return (
            f"{self.kills.total()} kills ({killed}); {self.ended.total()} were done before; {self.rows_checked} rows "
            f"checked; {self.shown} acts shown and found; {len(self._words)} words typed and found, {self.words_lost} "
            f"lost that were on the screen for {self.longest_lost_s:.2f} s or less"
        )
