"""`penpal serve` with the clients that people have: OpenAI's own, and raw HTTP where one must misbehave."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest
import uvicorn
from openai import OpenAI

from app import wiring
from app.cli.serve import TOKEN_FILE, token_of
from app.serve import drafting
from app.serve.api import MAX_BODY_BYTES, Api
from core.paths import Home
from core.store import Store
from tests.app.conftest import Result, learned
from tests.hooked_decoder import HookedDecoder

TOKEN = "penpal-test"
ASKED: list[Any] = [{"role": "user", "content": "Write a note"}]


@dataclass(frozen=True)
class Served:
    """A running server."""

    port: int
    decoder: HookedDecoder
    store: Store

    @property
    def client(self) -> OpenAI:
        return OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=TOKEN, max_retries=0, timeout=20)

    def raw(self, request: str) -> str:
        """What the server answers to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            head, _, body = request.partition("\n\n")
            lines = f"{head}\nConnection: close\n\n".replace("\n", "\r\n")
            connection.sendall(f"{lines}{body}".encode())
            found = b""
            while part := connection.recv(65536):
                found += part
        return found.decode()


@pytest.fixture
def served(decoder: HookedDecoder, penpal_home: Path) -> Iterator[Served]:
    penpal = wiring.open_penpal()
    listener = socket.create_server(("127.0.0.1", 0))
    application = Api(penpal, TOKEN).application(["127.0.0.1", "localhost"])
    server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield Served(listener.getsockname()[1], decoder, penpal.store)
    server.should_exit = True
    thread.join(10)
    penpal.store.close()


# --- OpenAI's client ------------------------------------------------------------------------------------------------


def test_a_chat_completion_is_a_draft_that_is_kept(served: Served) -> None:
    answer = served.client.chat.completions.create(model="penpal", messages=ASKED)
    assert answer.choices[0].message.content == "A warm and friendly draft."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5
    turn_id = int(answer.id.removeprefix("chatcmpl-"))
    assert served.store.turn(turn_id).prompt == "Write a note"
    assert [draft.text for draft in served.store.drafts(turn_id)] == ["A warm and friendly draft."]


def test_several_choices_come_from_one_prefill(served: Served) -> None:
    answer = served.client.chat.completions.create(model="penpal", messages=ASKED, n=2, seed=3)
    assert [choice.message.content for choice in answer.choices] == ["A warm and friendly draft.", "A dry one."]
    assert len(served.decoder.asked) == 1
    latents = [request.z for request in served.decoder.asked[0][1]]
    assert latents[0] is not None
    assert latents[1] is not None
    assert latents[0].tolist() != latents[1].tolist(), "choices should teach"


def test_a_stream_comes_word_by_word_and_ends_with_its_usage(served: Served) -> None:
    stream = served.client.chat.completions.create(
        model="penpal", messages=ASKED, n=2, stream=True, stream_options={"include_usage": True}
    )
    texts, reasons, usage = ["", ""], ["", ""], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == ["A warm and friendly draft.", "A dry one."]
    assert reasons == ["stop", "stop"]
    assert usage is not None
    assert usage.completion_tokens == 8


def test_system_messages_and_parts_reach_the_decoder(served: Served) -> None:
    served.client.chat.completions.create(
        model="penpal",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]},
        ],
    )
    messages, _ = served.decoder.asked[0]
    assert [(m.role, m.content) for m in messages] == [("system", "Be brief."), ("user", "one\ntwo")]


def test_a_text_is_continued_as_it_is(served: Served) -> None:
    answer = served.client.completions.create(model="penpal", prompt="It was a dark and", max_tokens=5, stop="\n")
    assert answer.choices[0].text == "A warm and friendly draft."
    assert served.decoder.asked[0][0][0].role == "text"
    pieces = served.client.completions.create(model="penpal", prompt="It was", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == "A warm and friendly draft."


def test_voices_are_models(served: Served, penpal_home: Path) -> None:
    record = learned(penpal_home, 1.0)
    names = [model.id for model in served.client.models.list()]
    assert names == ["penpal", "generic", record.id[:12]]
    assert served.client.models.retrieve(record.id[:12]).id == record.id[:12]
    for name in ("generic", record.id[:8]):
        served.client.chat.completions.create(model=name, messages=ASKED)
    generic, own = (requests[0].z for _, requests in served.decoder.asked)
    assert generic is not None
    assert not generic.any()
    assert own is not None
    assert own[0] == pytest.approx(-1.0)
    with pytest.raises(openai.NotFoundError, match="no voice 'gpt-5'"):
        served.client.chat.completions.create(model="gpt-5", messages=ASKED)


def test_an_edit_that_is_sent_back_is_an_edit(served: Served) -> None:
    answer = served.client.chat.completions.create(model="penpal", messages=ASKED, n=2)
    told = served.client.post(
        "/feedback", body={"id": answer.id, "index": 1, "kind": "edit", "text": "A dry martini."}, cast_to=object
    )
    assert told == {"object": "penpal.feedback", "act_id": 1, "recorded": True}
    turn_id = int(answer.id.removeprefix("chatcmpl-"))
    (act,) = served.store.acts(turn_id)
    assert (act.kind, act.text) == ("edit", "A dry martini.")
    unchanged = {"id": answer.id, "text": "A warm and friendly draft."}
    assert served.client.post("/feedback", body=unchanged, cast_to=object) == {
        "object": "penpal.feedback", "act_id": None, "recorded": False,
    }  # fmt: skip
    for kind in ("pick", "star", "tie"):
        served.client.post("/feedback", body={"id": answer.id, "kind": kind}, cast_to=object)
    assert [act.kind for act in served.store.acts(turn_id)] == ["edit", "pick", "star", "tie"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"id": "chatcmpl-99"}, "no completion chatcmpl-99"),
        ({"id": "chatcmpl-x"}, "no completion"),
        ({"id": "chatcmpl-1", "index": 5}, "choice 5"),
        ({"id": "chatcmpl-1"}, "needs the field 'text'"),
        ({"id": "chatcmpl-1", "text": "  "}, "empty"),
        ({"id": "chatcmpl-1", "kind": "love"}, "kind"),
    ],
)
def test_feedback_that_makes_no_sense_is_told(served: Served, body: dict[str, Any], said: str) -> None:
    served.client.chat.completions.create(model="penpal", messages=ASKED)
    with pytest.raises(openai.APIStatusError, match=said):
        served.client.post("/feedback", body=body, cast_to=object)


def void(value: object) -> None:
    """For a lambda that returns nothing."""


# --- what may not be ------------------------------------------------------------------------------------------------


def test_without_the_token_nothing_opens(served: Served) -> None:
    stranger = OpenAI(base_url=f"http://127.0.0.1:{served.port}/v1", api_key="wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError, match="token is missing or wrong"):
        stranger.chat.completions.create(model="penpal", messages=ASKED)
    for request in ("GET /v1/models HTTP/1.1\nHost: localhost\n\n", "POST /v1/feedback HTTP/1.1\nHost: localhost\n\n"):
        assert served.raw(request).startswith("HTTP/1.1 401")
    assert not served.decoder.asked


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil"])
def test_another_host_name_is_refused(served: Served, host: str) -> None:
    request = f"GET /v1/models HTTP/1.1\nHost: {host}:{served.port}\nAuthorization: Bearer {TOKEN}\n\n"
    assert served.raw(request).startswith("HTTP/1.1 400")


def test_no_page_of_another_site_may_read_it(served: Served) -> None:
    request = (
        f"OPTIONS /v1/models HTTP/1.1\nHost: localhost\nOrigin: http://evil.example\n"
        f"Access-Control-Request-Method: GET\nAuthorization: Bearer {TOKEN}\n\n"
    )
    assert "access-control-allow" not in served.raw(request).lower()


def test_a_body_that_is_too_large_or_no_json_is_refused(served: Served) -> None:
    with pytest.raises(openai.APIStatusError, match="larger than"):
        served.client.chat.completions.create(
            model="penpal", messages=[{"role": "user", "content": "x" * (MAX_BODY_BYTES + 1)}]
        )
    head = f"POST /v1/chat/completions HTTP/1.1\nHost: localhost\nAuthorization: Bearer {TOKEN}\n"
    for body in ("{", '{"messages": []}', '{"messages": 1}', "[]"):
        answer = served.raw(f"{head}Content-Length: {len(body)}\n\n{body}")
        assert answer.startswith("HTTP/1.1 400"), answer
        assert "error" in json.loads(answer.split("\r\n\r\n", 1)[1])


def test_what_does_not_fit_is_said_in_openais_words(served: Served) -> None:
    served.decoder.room = 2
    with pytest.raises(openai.BadRequestError, match="too long: 3 tokens, 2 fit") as told:
        served.client.chat.completions.create(model="penpal", messages=ASKED, stream=True)
    assert told.value.code == "context_length_exceeded"


def test_an_address_that_is_not_there_is_told_as_json(served: Served) -> None:
    with pytest.raises(openai.NotFoundError, match="There is no /v1/images"):
        served.client.get("/images", cast_to=object)


# --- at the same time -----------------------------------------------------------------------------------------------


def test_a_client_that_reads_slowly_holds_up_nobody(served: Served) -> None:
    served.decoder.texts = ["word " * 400]
    body = json.dumps({"messages": ASKED, "stream": True})
    slow = socket.create_connection(("127.0.0.1", served.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    slow.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    started = time.monotonic()
    assert served.client.chat.completions.create(model="penpal", messages=ASKED).choices[0].message.content
    assert time.monotonic() - started < 10
    slow.close()


def test_a_client_that_goes_away_stops_its_drafts(served: Served) -> None:
    served.decoder.texts, served.decoder.before_token = ["word " * 300], lambda number: time.sleep(0.01)
    stream = served.client.chat.completions.create(model="penpal", messages=ASKED, stream=True)
    turn_id = int(next(iter(stream)).id.removeprefix("chatcmpl-"))
    stream.close()
    deadline = time.monotonic() + 10
    while served.store.drafts(turn_id)[0].status == "writing" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert served.store.drafts(turn_id)[0].status == "cancelled"
    assert served.store.drafts(turn_id)[0].text.startswith("word")


def test_too_many_at_once_are_turned_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafting, "MAX_WAITING", 1)
    gate = threading.Event()
    served.decoder.before_token = lambda number: None if number == 0 else void(gate.wait(20))
    stream = served.client.chat.completions.create(model="penpal", messages=ASKED, stream=True)
    with pytest.raises(openai.RateLimitError, match="busy"):
        served.client.chat.completions.create(model="penpal", messages=ASKED)
    gate.set()
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "A warm and friendly draft."


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_token_is_made_once_and_is_the_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    token = token_of(home)
    assert len(token) > 30
    assert token_of(home) == token
    assert stat.S_IMODE((home.folder / TOKEN_FILE).stat().st_mode) == 0o600
    assert token_of(home, new=True) != token


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0"], "--allow-network"),
        (["--host", "192.168.0.1"], "--allow-network"),
        (["--host", "here"], "no address"),
    ],
)
def test_an_open_door_needs_a_word(penpal: Any, arguments: list[str], said: str) -> None:
    result: Result = penpal("serve", *arguments)
    assert result.code == 2
    assert said in result.err


def test_a_port_that_is_taken_is_told(penpal: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result: Result = penpal("serve", "--port", str(taken.getsockname()[1]))
    assert result.code == 2
    assert "cannot be used" in result.err
