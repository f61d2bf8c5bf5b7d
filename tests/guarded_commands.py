"""Runs commands one after the other in this process, and notes every attempt to reach a network.

`python -m tests.guarded_commands` reads a JSON list of `{"argv", "piped"}` from the standard input and prints a JSON
list of `{"code", "out", "err", "attempts"}`. It knows nothing of what the commands should do. In an argument, `{voice}`
is the id of the newest voice of the home.
"""

from __future__ import annotations

import io
import json
import socket
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from typing import Any

ATTEMPTS: list[str] = []
REACHING = {
    "socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname",
    "socket.gethostbyaddr", "socket.getnameinfo",
}  # fmt: skip
"""Audit events of Python's own socket module, through which every Python library goes."""


def note(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook. Sockets that are files, between processes of one machine, are none of a network."""
    if event in REACHING and getattr(arguments[0], "family", None) != getattr(socket, "AF_UNIX", object()):
        ATTEMPTS.append(f"{event} {arguments[1:]!r}")


def run(argv: list[str], piped: str) -> dict[str, Any]:
    from app.cli import main

    out, err, code = io.StringIO(), io.StringIO(), 0
    ATTEMPTS.clear()
    sys.argv, sys.stdin = ["penpal", *argv], io.TextIOWrapper(io.BytesIO(piped.encode()), encoding="utf-8")
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
    return {"code": code, "out": out.getvalue(), "err": err.getvalue(), "attempts": list(ATTEMPTS)}


def newest_voice() -> str:
    from core.paths import penpal_home
    from core.store import Store

    with closing(Store(penpal_home().database)) as store:
        return store.encoders()[-1].id


def run_all() -> None:
    sys.addaudithook(note)
    ended = []
    for command in json.load(sys.stdin):
        voice = newest_voice() if any("{voice}" in word for word in command["argv"]) else ""
        argv = [word.replace("{voice}", voice) for word in command["argv"]]
        ended.append(run(argv, command["piped"]))
    print(json.dumps(ended))


if __name__ == "__main__":
    run_all()
