"""The promise itself, on the real backbone: choices change the next drafts, and the voice travels in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.paths import Home
from core.store import Store

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

PENPAL = [sys.executable, "-c", "from app.cli import main; main()"]


def penpal(*arguments: str, home: Path, stdin: str | None = None) -> str:
    """Runs the real program; returns its standard output."""
    environment = {**os.environ, "PENPAL_HOME": str(home)}
    done = subprocess.run(
        [*PENPAL, *arguments], input=stdin, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_sixty_picks_make_the_next_drafts_win_at_least_65_percent(tmp_path: Path) -> None:
    report = json.loads(penpal("demo", "--pairs", "60", "--prompts", "60", "--json", home=tmp_path))
    assert report["pairs"] == 60
    assert report["activated"]
    assert report["win_rate"] >= 0.65
    assert report["perplexity_personal"] <= report["perplexity_generic"] + 3
    assert report["seconds"]["total"] > 0


def test_a_script_writes_picks_edits_personalizes_and_takes_the_voice_along(tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    prompts = ["Write a note about rain.", "Thank my sister for the cake.", "Ask my boss for a day off."]
    for prompt in prompts:
        left, right = json.loads(penpal("write", prompt, "-n", "2", "--max-tokens", "24", "--json", home=home))
        winner = left if "!" in left["text"] else right
        penpal("feedback", "pick", str(winner["id"]), home=home)
        penpal("feedback", "edit", str(winner["id"]), "--text", "How lovely! I am so glad!", home=home)
    report = json.loads(penpal("personalize", "--force", "--json", home=home))
    assert report["pairs"] == 6
    assert report["activated"]
    before = json.loads(penpal("write", prompts[0], "--generic", "--seed", "1", "--json", home=home))
    after = json.loads(penpal("write", prompts[0], "--seed", "1", "--json", home=home))
    assert before[0]["text"] != after[0]["text"]
    assert after[0]["encoder"] == report["encoder_id"]

    pack = tmp_path / "me.penpal"
    penpal("export", str(pack), home=home)
    penpal("import", str(pack), "--use", home=other)
    elsewhere = json.loads(penpal("write", prompts[0], "--seed", "1", "--json", home=other))
    assert elsewhere[0]["text"] == after[0]["text"]

    penpal("encoder", "rollback", home=home)
    store = Store(Home(home).database)
    assert store.active_encoder() is None
    assert store.check() == []
    store.close()


def test_what_was_written_is_what_is_stored_with_a_latent_of_its_own(tmp_path: Path) -> None:
    drafts = json.loads(penpal("write", "Describe the sea.", "-n", "2", "--max-tokens", "16", "--json", home=tmp_path))
    store = Store(Home(tmp_path).database)
    stored = [store.draft(draft["id"]) for draft in drafts]
    store.close()
    assert [draft.text for draft in stored] == [draft["text"] for draft in drafts]
    assert all(draft.z is not None and len(draft.z) == 32 for draft in stored)
    assert stored[0].z != stored[1].z
