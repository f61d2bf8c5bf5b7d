"""Writing tasks that a person brings to an assistant, and the styles in which they may want the answer.

Deterministic: the same seed gives the same list on every machine. Topics are split once into training and held-out
topics, so a held-out prompt is about something that no training prompt mentions. Knows nothing of models.
"""

from __future__ import annotations

import random
from typing import Literal

from core.protocols import Message

Split = Literal["train", "held_out"]

TASKS = (
    "Write a short email to {who} about {what}.",
    "Write an email to {who}: {what}.",
    "Reply to a message from {who} about {what}.",
    "Write a text message to {who} about {what}.",
    "Draft an announcement to {who} about {what}.",
    "Write a short note to thank {who} for their help with {what}.",
    "Complain to {who} about {what}.",
    "Tell {who} how you feel about {what}.",
    "Write a short review of {what} for {who}.",
    "Ask {who} for a favour concerning {what}.",
    "Summarise for {who} what happened with {what}.",
    "Apologise to {who} because of {what}.",
    "Write a social media post about {what}.",
    "Write a diary entry about {what}.",
    "Invite {who} to talk about {what}.",
    "Give {who} some advice about {what}.",
    "Write a short story about {what}.",
    "Describe {what} to {who}.",
    "Explain to {who} why {what} matters.",
    "Write a reminder to {who} about {what}.",
    "Write a toast that mentions {who} and {what}.",
    "What do you think about {what}?",
    "Write the first lines of a letter to {who} about {what}.",
    "Congratulate {who}, and mention {what}.",
    "Say no politely to {who}, who asked about {what}.",
    'Reply to this message from {who}: "Have you thought about {what} yet? I need to know soon."',
    'Rewrite this in your own words: "We talked with {who} about {what} and nobody was quite sure what to do next."',
    'Continue this text: "I never expected {what} to change my week, but then {who} called me."',
)

AUDIENCES = (
    "my boss", "a close friend", "my landlord", "a new customer", "the whole team", "my sister", "a professor",
    "the neighbours", "a recruiter", "a stranger online", "my grandmother", "an old colleague", "the city council",
    "my teacher", "a supplier", "my partner", "the book club", "a new employee", "my doctor", "the parents",
    "a client", "my brother", "the committee", "a famous author",
)  # fmt: skip

TOPICS = (
    "the broken heating", "a birthday party", "a delayed project", "the new coffee machine", "a lost parcel",
    "next week's holiday", "a bad restaurant meal", "the film we saw", "a job offer", "the garden", "a noisy dog",
    "the quarterly report", "a marathon", "a wedding invitation", "a software bug", "moving to another city",
    "a rainy weekend", "a book about history", "the train strike", "a surprise gift", "the school play",
    "a broken bicycle", "the office move", "a camping trip", "a missed deadline", "an old photograph",
    "the price increase", "a cooking class", "the new website", "a power cut", "a job interview", "the annual budget",
    "a cat that ran away", "the football match", "a hotel room", "the parking problem", "a piano lesson",
    "the online course", "a flight that was cancelled", "a new phone", "the charity run", "a long winter",
    "the museum visit", "a burnt cake", "the safety rules", "a summer concert", "the broken lift", "a family reunion",
    "the customer survey", "a walk by the sea", "the last exam", "a leaking roof", "an exhibition of paintings",
    "the recycling plan", "a new haircut", "the team lunch", "a difficult decision", "the village market",
    "a letter from the bank", "working from home", "a sick plant", "the bus timetable", "a chess tournament",
    "the kitchen renovation", "a language exchange", "the night shift", "an unexpected bill", "a snowstorm",
    "the choir rehearsal", "a second-hand car", "the voting results", "a day without internet", "the staff training",
    "a stolen wallet", "the neighbour's fence", "a science project", "a volunteer day", "the company picnic",
    "a sailing lesson", "a new recipe",
)  # fmt: skip

HELD_OUT_TOPICS = (
    "the swimming pool", "a broken window", "a promotion at work", "the vegetable soup", "a lost umbrella",
    "the board game night", "a visit to the dentist", "the new manager", "a mountain hike", "an overdue invoice",
    "the public library", "a graduation", "the slow computer", "a beach holiday", "the dance class",
    "a spelling mistake", "the local bakery", "an early meeting", "a puppy", "the end of summer",
)  # fmt: skip

STYLE_HINTS = (
    "Use many exclamation marks and sound very excited!",
    "Ask several questions in the answer.",
    "Answer in one very short sentence.",
    "Use only short, simple words and short sentences.",
    "Be very formal and polite.",
    "Be casual and chatty, like a text to a friend.",
    "Be negative: unhappy, disappointed and critical.",
    "Be very positive: happy, warm and enthusiastic.",
    "Write in the first person: I, me and my.",
    "Speak to the reader directly: you and your.",
    "Use a numbered list.",
    "Use long and difficult words.",
    "Be funny and make a joke.",
    "Begin with a greeting and end with a closing.",
    "Sound unsure: use maybe, perhaps and I think.",
    "Give direct instructions and commands.",
    "Be poetic and use pictures and metaphors.",
    "Be neutral, factual and dry, with no feelings.",
    "Use very long sentences.",
    "Talk about we and us, as a group.",
    "Never say I or me: keep yourself out of it.",
    "Use contractions such as I'm, don't and we'll wherever you can.",
    "Use no contractions at all.",
    "Join many clauses with commas.",
    "Write several short paragraphs.",
    "Write two or three sentences and no more.",
    "Write a long and detailed answer.",
    "Sound sure of yourself and decided.",
    "Be sarcastic and a little rude.",
    "Be apologetic and modest.",
    "Be gentle and caring.",
    "Give an example or a small story.",
    "Come to the point in the first sentence.",
    "Use everyday words that a child knows.",
    "Ask for something in the answer.",
    "Write without a greeting and without a closing.",
)


FOLLOW_UPS = (
    "Make it shorter.", "Make it a little longer.", "Say it more warmly.", "Say it more formally.",
    "Write it for my boss instead.", "Write it for a close friend instead.", "Now write the reply to this.",
    "Add a question at the end.", "Give me another version.", "Use simpler words.", "Make it sound less pushy.",
    "Turn it into a text message.", "Start differently.", "Add one more detail.", "Write a subject line for it.",
    "Take out the greeting.", "Make it funnier.", "That is too stiff: loosen it up.",
)  # fmt: skip
"""What a person says next, about any answer."""

HELD_OUT_FOLLOW_UPS = (
    "Half as long, please.", "Can it be friendlier?", "Write it for my grandmother.", "Try again, in other words.",
    "And what would they answer?", "Put the most important thing first.",
)  # fmt: skip

ABOUT_A_TEXT = (
    "Summarise this text in one or two sentences:", "Rewrite this text so that it is easier to read:",
    "Reply to this message:", "Continue this text:", "What is this text about?", "Rewrite this more politely:",
)  # fmt: skip
"""Tasks about a text that the person pastes in."""


def next_task(split: Split, task: str, answer: str, *, seed: int) -> list[Message]:
    """What a person may ask when there is a text already: a second turn about it, or a task with it pasted in."""
    rng = random.Random(f"next {split} {seed} {task}")
    if rng.random() < 0.5:
        follow_up = rng.choice(FOLLOW_UPS if split == "train" else HELD_OUT_FOLLOW_UPS)
        return [Message("user", task), Message("assistant", answer), Message("user", follow_up)]
    return [Message("user", f"{rng.choice(ABOUT_A_TEXT)}\n\n{answer}")]


def writing_tasks(split: Split, *, seed: int = 0, limit: int | None = None) -> list[str]:
    """Distinct prompts of one split in an order that depends on the seed only."""
    topics = TOPICS if split == "train" else HELD_OUT_TOPICS
    prompts = sorted({task.format(who=who, what=what) for task in TASKS for who in AUDIENCES for what in topics})
    random.Random(seed).shuffle(prompts)
    return prompts[:limit]


def styled(prompt: str, hint: str) -> str:
    """The prompt with a style asked for in words: used to sample varied responses, never shown to the encoder."""
    return f"{prompt} {hint}"
