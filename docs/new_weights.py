"""Puts a newly trained latent space in the place of the released one: `.venv/bin/python docs/new_weights.py FOLDER`.

FOLDER is what `penpal backbone publish` wrote, with `penpal backbone sameness` run on it. What the old one says about
the shipped anchors is kept, so that voices made in it can be taken along without its weights.
"""

from __future__ import annotations

import re
import shutil
import sys
from contextlib import closing
from pathlib import Path

from app.wiring import EMBEDDED_CLAP, open_penpal
from core.files import file_sha256
from exporters.published import CLAP
from models.remembered import remember
from models.sameness import beside

WIRING = Path(__file__).parent.parent / "app" / "wiring.py"
MAX_BYTES = 32 << 20


def main() -> None:
    """Ends with a line when the folder holds no latent space that can be released."""
    made = Path(sys.argv[1]) / CLAP
    if not beside(made).is_file():
        sys.exit(f"{beside(made)} is missing: run 'penpal backbone sameness' first.")
    if made.stat().st_size > MAX_BYTES:
        sys.exit(f"{made} takes {made.stat().st_size / 2**20:.1f} MB, which is more than the repository may hold.")
    with closing(open_penpal()) as penpal:
        assert penpal.clap.path == EMBEDDED_CLAP, "unset PENPAL_CLAP"
        print(remember(penpal.text_encoder, penpal.clap.id))
    shutil.copyfile(made, EMBEDDED_CLAP)
    shutil.copyfile(beside(made), beside(EMBEDDED_CLAP))
    constant = f'EMBEDDED_CLAP_SHA256 = "{file_sha256(EMBEDDED_CLAP)}"'
    WIRING.write_text(re.sub(r'EMBEDDED_CLAP_SHA256 = "\w+"', constant, WIRING.read_text("utf-8")), "utf-8")
    print(constant)


if __name__ == "__main__":
    main()
