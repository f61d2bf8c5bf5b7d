"""Where PenPal keeps its state. The only file that knows paths; `PENPAL_HOME` overrides the place."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_data_path

_OURS = (
    "penpal.db", "config.toml", "serve.token", "nightly.log", "encoders", "runs", "windows", "backbones", "backups",
    ".penpal.db", ".config.toml", ".backup", ".restore",
)  # fmt: skip
"""How the names of all that PenPal makes right below the home begin."""


@dataclass(frozen=True)
class Home:
    """One person's directory. Nothing of theirs lies outside it."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "penpal.db"

    @property
    def encoders(self) -> Path:
        return self.folder / "encoders"

    @property
    def runs(self) -> Path:
        return self.folder / "runs"

    @property
    def windows(self) -> Path:
        return self.folder / "windows"

    @property
    def backbones(self) -> Path:
        return self.folder / "backbones"

    @property
    def backups(self) -> Path:
        """What an upgrade or a restore set aside."""
        return self.folder / "backups"

    @property
    def config_file(self) -> Path:
        return self.folder / "config.toml"

    def is_ours(self, path: Path) -> bool:
        """Whether this file or folder, right below the home, is one that PenPal makes."""
        return path.name.startswith(_OURS)


def penpal_home() -> Home:
    """`PENPAL_HOME`, else the platform's data directory."""
    override = os.environ.get("PENPAL_HOME")
    return Home(Path(override).expanduser() if override else user_data_path("penpal"))
