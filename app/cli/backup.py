"""Commands that keep what a person made safe: backup, restore."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.cli.output import AsJson, counted, notice, print_json
from app.cli.passphrase import PassphraseFile, WithPassphrase, ask
from core.errors import UsageError


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it, for example on a stick: /media/stick/penpal.zip.")],
    everything: Annotated[
        bool, typer.Option("--all", help="Also what can be made again: caches, backbones. Much larger.")
    ] = False,
    passphrase: WithPassphrase = False,
    passphrase_file: PassphraseFile = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    json: AsJson = False,
) -> None:
    """Put everything you wrote, decided and taught into one file.

    Works while PenPal is open. The file is read again and checked before it gets its name. With a passphrase, 'age' or
    'penpal restore' opens it, and nobody without the passphrase; if you forget it, nobody can.
    """
    from core.backup import write_backup
    from core.paths import penpal_home

    if file.exists() and not force:
        raise UsageError(f"{file} exists: choose another name, or add --force to replace it.")
    if file.is_dir():
        raise UsageError(f"{file} is a folder: give the name of a file in it, such as {file / 'penpal.zip'}.")
    secret = ask(passphrase_file, new=True) if passphrase or passphrase_file else None
    made = write_backup(penpal_home(), file, passphrase=secret, everything=everything)
    for name in made.missing:
        notice(f"Voice {name[:12]} is not in it: its file was removed or is damaged.")
    if json:
        print_json({**asdict(made), "file": str(made.file)})
        return
    locked = ", locked with your passphrase" if made.encrypted else ""
    typer.echo(f"Wrote {file}: {_told(made.rows)}; {made.size_bytes / 1e6:.1f} MB{locked}, read again and checked.")
    typer.echo(f"To get it back, here or elsewhere: penpal restore {file}")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'penpal backup' wrote.")],
    into: Annotated[
        Path | None, typer.Option("--into", metavar="HOME", help="A home other than this PenPal's own.")
    ] = None,
    passphrase_file: PassphraseFile = None,
    json: AsJson = False,
) -> None:
    """Bring back what a backup holds.

    What your PenPal holds now is not overwritten: it is set aside, and you are told where. Close PenPal first.
    """
    from core.paths import Home, penpal_home
    from core.restore import restore

    home = Home(into.expanduser()) if into else penpal_home()
    done = restore(file, home, lambda: ask(passphrase_file, new=False))
    for name in done.missing:
        notice(f"Voice {name[:12]} was not in the backup.")
    for path in done.lacks:
        notice(f"{path} was not in the backup: 'penpal backbone add' brings it, 'penpal backbone remove' does without.")
    if json:
        print_json({**asdict(done), "home": str(done.home), "aside": done.aside and str(done.aside),
                    "lacks": [str(path) for path in done.lacks]})  # fmt: skip
        return
    typer.echo(f"{done.home} is as it was at {done.created_utc[:16].replace('T', ' ')} UTC: {_told(done.rows)}.")
    if done.aside:
        typer.echo(f"What was there before: {done.aside} (to look into it: PENPAL_HOME={done.aside} penpal chat)")


def _told(rows: dict[str, int]) -> str:
    names = {"conversations": "conversation", "drafts": "draft", "feedback": "answer", "encoders": "voice"}
    return ", ".join(counted(rows[table], noun) for table, noun in names.items())
