"""Ways to begin a text: from nothing, from a message to answer, from a text to rewrite or to continue.

Each puts a prompt together from a wish and a pasted text. The wordings are those that the embedded backbone follows
as well as any (docs/experiments.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import UsageError


@dataclass(frozen=True)
class StartingPoint:
    """One way to begin."""

    name: str
    title: str
    wish: str
    """What is asked of the person."""
    example: str
    """A wish that this could be."""
    material: str = ""
    """What text is asked for; empty: none."""
    template: str = "{wish}"
    template_without_wish: str = ""
    """Empty: there must be a wish."""

    def prompt(self, wish: str, text: str = "") -> str:
        """What the backbone is asked. Raises UsageError when a part is missing."""
        wish, text = " ".join(wish.split()).rstrip("."), text.strip()
        if self.material and not text:
            raise UsageError(f"{self.material} is missing: paste it in.")
        if not wish and not self.template_without_wish:
            raise UsageError(f"Say first what you want: {self.wish}")
        template = self.template if wish else self.template_without_wish
        return template.format(wish=wish, Wish=wish[:1].upper() + wish[1:], text=text)


NEW = StartingPoint(
    "new", "a new text", "What would you like to write?", "a note to thank my sister for the cake"
)  # fmt: skip
REPLY = StartingPoint(
    "reply", "reply to a message", "What should the reply say?", "yes, and I bring a salad", "The message",
    'Write a reply to this message. {Wish}.\n\n"{text}"', 'Write a reply to this message.\n\n"{text}"',
)  # fmt: skip
REWRITE = StartingPoint(
    "rewrite", "rewrite a text", "How should it change?", "make it shorter and friendlier", "The text",
    '"{text}"\n\nRewrite this text: {wish}.', '"{text}"\n\nRewrite this text in other words.',
)  # fmt: skip
CONTINUE = StartingPoint(
    "continue", "continue a text", "What happens next?", "a stranger knocks at the door", "The text so far",
    'Continue this text. {Wish}.\n\n"{text}"', 'Continue this text.\n\n"{text}"',
)  # fmt: skip

STARTING_POINTS = (NEW, REPLY, REWRITE, CONTINUE)
