"""What plain chat says about itself, and how it takes what it hears."""

from __future__ import annotations

from core.feedback import ActKind

WORDS_OF_A_TEXT = 3
"""An answer about drafts has fewer."""
TAKEN_BACK: dict[ActKind, str] = {
    "accept": "that you kept it", "pick": "that you picked it", "edit": "your version", "redo": "the new drafts",
    "star": "the star", "tie": "as good as each other", "both_bad": "both bad", "skip": "that you put it aside",
}  # fmt: skip
HELP_PROMPT = """\
Type what you would like to have written, and press Enter. Or one of these, and Enter:
m  write a prompt of several lines
1 to 4  begin with: 1 a new text, 2 a reply to a message, 3 a rewritten text, 4 a continued text
u  take the last thing back
n  a new conversation
l  list the conversations; l 3 opens the third
q  quit; everything is kept"""

HELP_CHOOSING = """\
1, 2  pick the draft that is more like you
e  edit the picked draft; e 2 picks the second one first
a  keep the picked draft; a 2 picks the second one first. Enter alone keeps the picked one, too
r  neither will do: write two new drafts; r shorter says what should be different
t  both are as good as each other
b  both are bad
s  skip: put both aside, learn nothing
star 1  star a draft, or take its star away
v  read the drafts again
u  take the last thing back
n  a new conversation
q  quit; everything is kept"""


JUDGED: dict[str, tuple[ActKind, str]] = {
    "t": ("tie", "Noted: as good as each other. a 1 or a 2 keeps one all the same."),
    "b": ("both_bad", "Noted: both bad. r writes two new ones."),
    "s": ("skip", "Put aside."),
}


def is_text(said: str) -> bool:
    """It is what the person wants to have written, and no answer about drafts."""
    return len(said.split()) >= WORDS_OF_A_TEXT
