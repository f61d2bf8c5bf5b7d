"""What a person does with a home until a program is killed: chat, rate, and commands that write."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from app.tui.first_run import note_tour_seen
from app.tui.starting_place import starting_place
from app.wiring import PenPal, open_penpal
from core.backup_file import open_backup, verified
from core.files import file_sha256
from core.paths import Home
from core.store import EncoderRecord, Store, now_utc
from exporters.pack import export_pack
from models.backbone import Backbone
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from tests import tiny
from tests.app.conftest import answer
from tests.app.pseudo_terminal import Terminal
from tests.home_bytes import files_with
from tests.killed import PATIENCE_S, PENPAL, ROOT, KilledHome

TRAINING = ("--steps", "4", "--warm-steps", "2", "--k", "2", "--update", "1")
STAGES = ("start", "typing", "sending", "pick", "star", "editing", "edit", "keep")
"""Of a session of chat: it is killed in one of them."""
MOST_COMPOSED = 120
"""Characters of a prompt; the tiny backbone reads few."""


class Sessions:
    """What a person does with the home until the program is killed. Each looks at what is its own afterwards."""

    def __init__(self, killed: KilledHome, folder: Path, backbone: Backbone, samples: Path) -> None:
        self.killed, self.folder, self.backbone, self.samples = killed, folder, backbone, samples
        self.home, self.chance = killed.home, killed.chance
        self.last_word = ""
        """Of a prompt that was being typed when the last chat was killed: the next one shows it."""
        self._stages = ["keep"]  # first, since most is done before it
        self.number = 0
        with self.store() as store:
            note_tour_seen(store)
            for number in range(12):
                texts = ("No.", f"Thank you for the garden, number {number}! " * 3)
                answer(store, f"Write to neighbour {number}.", texts=texts, backbone_id=backbone.id)
        killed.look()

    def store(self) -> closing[Store]:  # type: ignore[type-var]
        return closing(Store(self.home.database))

    def next_number(self) -> int:
        self.number += 1
        return self.number

    # --- chat and rate, on a terminal -------------------------------------------------------------------------

    def chat(self) -> None:
        """A prompt, a choice, an edit; what was typed before the last kill is on the screen first."""
        self._stages = self._stages or self.chance.sample(STAGES, len(STAGES))
        stage, opened_new = STAGES.index(self._stages.pop()), self._opens_new_conversation()
        killed = self.killed
        with killed.terminal("chat") as terminal:
            if stage == 0:
                killed.kill_writing("chat", terminal)
                return
            terminal.wait_for("your prompt", within_s=PATIENCE_S)
            terminal.wait_for(self.last_word, within_s=PATIENCE_S)
            if not opened_new:
                terminal.type("\x0e")
                terminal.wait_for("new conversation", within_s=PATIENCE_S)
            if stage == 1:
                self.last_word = killed.kill_typing("chat", terminal)
            else:
                killed.type_word(terminal)
                self.last_word = ""
                self._send(terminal, stage)

    def _opens_new_conversation(self) -> bool:
        """Whether chat opens where nothing was sent yet. The person deletes there what grew too long."""
        with self.store() as store:
            if len(text := store.unsaved("composer")) > MOST_COMPOSED:
                store.keep_unsaved("composer", "")
                self.killed.drop_words(text)
                self.last_word = ""
            return starting_place(store) is None

    def _send(self, terminal: Terminal, stage: int) -> None:
        """Sends the prompt; it is in the store wherever the kill comes."""
        terminal.type("\r")
        if stage == 2:
            self.killed.kill_writing("chat", terminal)
            return
        terminal.wait_for("more like you", within_s=PATIENCE_S)
        self._act(terminal, self.chance.choice("12"), "✓ picked", "pick", kill=stage == 3)
        if stage > 3 and (stage == 4 or self.chance.random() < 0.3):
            self._act(terminal, "s", "★", "star", kill=stage == 4)
        if stage in (5, 6) or (stage == 7 and self.chance.random() < 0.5):
            self._edit(terminal, stage)
        if stage == 7:
            self._act(terminal, "\r", "kept", "accept", kill=True)

    def _edit(self, terminal: Terminal, stage: int) -> None:
        terminal.type("e")
        terminal.wait_for("editing", within_s=PATIENCE_S)
        if stage == 5:
            self.killed.kill_typing("chat", terminal)
            return
        self.killed.type_word(terminal)
        self._act(terminal, "\x13", "change 1 of 1", "edit", kill=stage == 6)

    def _act(self, terminal: Terminal, keys: str, shown: str, kind: str, *, kill: bool, name: str = "chat") -> None:
        """Does it, or is killed on the way; an act that was shown is in the store."""
        before = self.killed.last_act()
        terminal.type(keys)
        if kill:
            self.killed.kill_writing(name, terminal)
        else:
            terminal.wait_for(shown, within_s=PATIENCE_S)
        if shown in terminal.drawn():
            self.killed.has_act(kind, after=before)

    def rate(self) -> None:
        """Some answers, the last of them with a kill; or a kill while pairs are made."""
        answers = self.chance.randint(0, 3)
        with self.killed.terminal("rate") as terminal:
            for left in range(answers, 0, -1):
                terminal.wait_for("your choice", within_s=PATIENCE_S)
                terminal.read_for(0.3)  # sooner than 0.2 s it takes a key for one that is held down
                keys, kind = self.chance.choice([("1", "pick"), ("2", "pick"), ("t", "tie"), ("b", "both_bad")])
                self._act(terminal, keys, "last answer", kind, kill=left == 1, name="rate")
            if not answers:
                self.killed.kill_writing("rate", terminal)

    # --- commands ---------------------------------------------------------------------------------------------

    def _to_the_end(self, *command: str | Path, home: Path | None = None) -> str:
        """A command that nobody kills, and that does its work."""
        environment = {**os.environ, **({"PENPAL_HOME": str(home)} if home else {})}
        done = subprocess.run(
            (*PENPAL, *command), cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, (command, done.stderr[-2000:])
        return done.stdout

    def _killed_some_times(self, name: str, *command: str | Path, shows: str, folder: Path | None = None) -> None:
        """Killed once or more, or ended, and begun again to the end. The home is whole after each kill."""
        for _ in range(self.chance.randint(1, 2)):
            told = self.killed.run_and_kill(name, *command, folder=folder)
            self.killed.look()
            if shows in told:
                break

    def take_voice(self) -> None:
        """A pack with a voice that is new here."""
        pack = self.folder / f"voice-{self.next_number()}.penpal"
        with closing(open_penpal(self.home)) as penpal:
            voice = some_voice(penpal, self.folder, pack, seed=self.number)
        told = self.killed.run_and_kill("import", "import", pack, "--use")
        self.killed.look()
        if "It is in use now." not in told:
            self._to_the_end("import", pack, "--use")
        used = self.killed.voice_in_use()
        assert used is not None
        np.testing.assert_array_equal(used["mean"], voice.arrays()["mean"])

    def back_up(self) -> None:
        """Over the backup before: there is always a whole one."""
        file = self.folder / "backup.zip"
        self._killed_some_times("backup", "backup", file, "--force", shows="read again and checked")
        if file.exists():
            with open_backup(file, str) as archive:
                verified(archive, file)
        self._to_the_end("backup", file, "--force")
        assert not (self.home.folder / ".backup").exists()

    def forget(self) -> None:
        """A conversation goes as a whole or not at all; begun again, no byte of it is left in the home."""
        word = f"zebulon{self.next_number()}x"
        with self.store() as store:
            answer(store, f"Tell of {word}.", texts=(f"Dear {word}!", f"{word}? " * 40), backbone_id=self.backbone.id)
            conversation = max(one.id for one in store.conversations())
        self.killed.to_forget.add(conversation)
        command = ("forget", "--search", word, "--yes", "--no-retrain")
        self._killed_some_times("forget", *command, shows="Forgotten for good")
        assert self.killed.rows_of(conversation) in ((1, 2, 1), (0, 0, 0))
        self._to_the_end(*command)
        assert files_with(self.home.folder, [word]) == {}

    def personalize(self) -> None:
        """Begun again, it makes the voice that it would have made without a kill."""
        command = ("personalize", "--force", "--no-drafts")
        unharmed = self.folder / "unharmed"
        shutil.rmtree(unharmed, ignore_errors=True)
        self.killed.three_minutes_later()
        shutil.copytree(self.home.folder, unharmed)
        self._to_the_end(*command, home=unharmed)
        self._killed_some_times("personalize", *command, shows="Report:")
        self._to_the_end(*command)
        with closing(open_penpal(Home(unharmed))) as penpal:
            active = penpal.store.active_encoder()
            assert active is not None
            expected = penpal.load_encoder(active).arrays()
        found = self.killed.voice_in_use()
        assert found is not None
        assert found.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_allclose(found[name], array, atol=1e-6, err_msg=name)

    def pretrain(self) -> None:
        """Begun again, it comes to the weights that it would have come to without a kill."""
        out = self.folder / f"trained-{self.next_number()}"
        shutil.copytree(self.samples, out)
        command = ("backbone", "train", "--out", out, *TRAINING)
        self._killed_some_times("pretrain", *command, shows="clap.safetensors", folder=out)
        self._to_the_end(*command)
        assert file_sha256(out / "clap.safetensors") == file_sha256(self.folder / "trained" / "clap.safetensors")


def some_voice(penpal: PenPal, folder: Path, pack: Path, *, seed: int) -> GaussianEncoder:
    """A voice of somebody else, written to a pack."""
    made: Any = np.random.default_rng(seed).standard_normal(tiny.LATENT_SIZE)
    voice, file = GaussianEncoder(Parts(made, np.zeros(tiny.LATENT_SIZE), {})), folder / "somebody.safetensors"
    voice.save(file, {"backbone": penpal.backbone.id, "clap": penpal.clap.id})
    of = (penpal.backbone.id, penpal.clap.id)
    record = EncoderRecord(file_sha256(file), file.name, "personalized", None, *of, 12, "kept", {}, now_utc())
    export_pack(record, folder, pack, space=penpal.space)
    return voice
