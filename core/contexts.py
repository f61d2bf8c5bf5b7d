"""What kind of writing a prompt asks for, so that mails and reviews can be learned apart. Rules, no model."""

from __future__ import annotations

import re

from core.errors import UsageError

OTHER = "other"
_KINDS = {
    "rewriting": r"rewrite|rephrase|reword|paraphrase|shorten|proofread|continue (?:this|the) text|summari[sz]e",
    "reply": r"reply|replies|respond to|answer (?:this|the|his|her|their) (?:e-?mail|mail|message|letter)",
    "mail": r"e-?mails?|mail|letters?",
    "message": r"(?:text|chat) messages?|messages? (?:to|for)|sms|whatsapp|slack",
    "post": r"posts?|tweets?|social media|caption|blog|announcement|newsletter",
    "review": r"reviews?|rating|what do you think|critique|complain\w*",
    "note": r"notes?|diary|journal|reminder|memo|to-?do",
    "story": r"story|stories|poems?|tale|scene|chapter|toast|speech",
}
_KIND = re.compile("|".join(rf"\b(?P<{kind}>{words})\b" for kind, words in _KINDS.items()), re.IGNORECASE)
TAG = r"[a-z0-9 _-]{1,32}"
"""How a kind of writing may be called: it also names a part of the encoder's file."""
INSTRUCTION_CHARACTERS = 300
"""Of a long prompt only the start is read: the rest is what it is about."""


def context_of(prompt: str) -> str:
    """The kind that the prompt names first; 'other' when it names none."""
    found = _KIND.search(prompt[:INSTRUCTION_CHARACTERS])
    return found.lastgroup or OTHER if found else OTHER


def clean_tag(tag: str | None) -> str | None:
    """A person's own name for a kind of writing: 'Mail ' is 'mail', an empty one is none. Raises UsageError."""
    clean = " ".join((tag or "").lower().split())
    if clean and not re.fullmatch(TAG, clean):
        raise UsageError(f"'{tag}' cannot name a kind of writing: use up to 32 letters (a-z), digits, spaces, - and _.")
    return clean or None
