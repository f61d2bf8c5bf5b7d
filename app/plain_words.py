"""What plain chat says about itself, and how it takes what it hears."""

from __future__ import annotations

import re

from core.errors import UsageError
from core.feedback import ActKind

WORDS_OF_A_TEXT = 3
"""An answer about drafts has fewer."""
SLASH_COMMAND = re.compile(r"/([a-z]+)(?:\s+(.*))?")
HELP_ALWAYS = """\
u  take the last thing back
n  a new conversation
q  quit; everything is kept

And at any time, with a slash:
/read  read the conversation from its start
/branch 2  say its second prompt differently; what is there stays as it is. /original goes back
/list  list the conversations; /open 3 opens the third
/search cake  look for a word in everything you wrote; /open 2 opens the second place
/rename Cake for Ann  give the conversation this name
/delete  delete the conversation; /undelete brings it back
/learning off  learn nothing from this conversation; /learning on learns from it again
/help  these lines"""
HELP_PROMPT = f"""\
Type what you would like to have written, and press Enter. Or one of these, and Enter:
m  write a prompt of several lines
1 to 4  begin with: 1 a new text, 2 a reply to a message, 3 a rewritten text, 4 a continued text
l  list the conversations; l 3 opens the third
{HELP_ALWAYS}"""

HELP_CHOOSING = f"""\
1, 2  pick the draft that is more like you
e  edit the picked draft; e 2 picks the second one first
a  keep the picked draft; a 2 picks the second one first. Enter alone keeps the picked one, too
r  neither will do: write two new drafts; r shorter says what should be different
merge  put one text together out of both drafts, by the numbers of their sentences
t  both are as good as each other
b  both are bad
s  skip: put both aside, learn nothing
star 1  star a draft, or take its star away
v  read the drafts again
{HELP_ALWAYS}"""


JUDGED: dict[str, tuple[ActKind, str]] = {
    "t": ("tie", "Noted: as good as each other. a 1 or a 2 keeps one all the same."),
    "b": ("both_bad", "Noted: both bad. r writes two new ones."),
    "s": ("skip", "Put aside."),
}


def is_text(said: str) -> bool:
    """It is what the person wants to have written, and no answer about drafts."""
    return len(said.split()) >= WORDS_OF_A_TEXT


def slash_command(said: str) -> tuple[str, str] | None:
    """'/open 3' as ('open', '3'); None for everything else, such as '/etc/hosts'."""
    found = SLASH_COMMAND.fullmatch(said)
    return (found[1], (found[2] or "").strip()) if found else None


def numbered(said: str, count: int, noun: str, *, example: str) -> int:
    """A number from 1 to `count`. Raises UsageError, with what would be one."""
    if count == 0:
        raise UsageError(f"There is no {noun} yet.")
    if not said.isdecimal():
        raise UsageError(f"Which {noun}? Type its number: {example}.")
    if not 0 < int(said) <= count:
        raise UsageError(f"There is no {noun} {said}: the last one is {count}.")
    return int(said)
