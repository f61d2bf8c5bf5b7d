"""What clients send, as far as PenPal heeds it; fields that it does not know are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from core.protocols import Message

MAX_MESSAGES = 200
MAX_DRAFTS = 8
Stops = Annotated[tuple[str, ...], Field(max_length=4)]


class Sent(BaseModel):
    """Any body."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class StreamOptions(Sent):
    """Of a stream."""

    include_usage: bool = False


class Wanted(Sent):
    """What both kinds of completion have in common."""

    model: str = Field("penpal", max_length=200)
    n: int = Field(1, ge=1, le=MAX_DRAFTS)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    stop: Stops = ()
    seed: int | None = None
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    """The newer name of the same."""

    @field_validator("stop", mode="before")
    @classmethod
    def _listed(cls, stop: Any) -> Any:
        return (stop,) if isinstance(stop, str) else stop or ()

    @property
    def longest(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage


class ContentPart(Sent):
    """Of a message in parts; texts only."""

    type: Literal["text"]
    text: str


class SentMessage(Sent):
    """One turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart]

    def message(self) -> Message:
        """As the chat template takes it."""
        text = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, text)


class ChatRequest(Wanted):
    """`POST /v1/chat/completions`"""

    messages: list[SentMessage] = Field(min_length=1, max_length=MAX_MESSAGES)

    def conversation(self) -> list[Message]:
        return [sent.message() for sent in self.messages]


class CompletionRequest(Wanted):
    """`POST /v1/completions`: a text to be continued as it is."""

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    echo: Literal[False] = False

    def conversation(self) -> list[Message]:
        return [Message("text", self.prompt if isinstance(self.prompt, str) else self.prompt[0])]


class FeedbackRequest(Sent):
    """`POST /v1/feedback`: what the person did with a completion. PenPal's own; no other server has it."""

    id: str = Field(max_length=64)
    """Of the completion: 'chatcmpl-12'."""
    index: int = Field(0, ge=0, lt=MAX_DRAFTS)
    """Which of its choices."""
    kind: Literal["pick", "edit", "accept", "star", "tie", "both_bad"] = "edit"
    text: str | None = None
    """The person's own version, or what they kept."""
    note: str | None = Field(None, max_length=200)
    """Why: 'wrong fact' keeps it out of what is learned about style."""
