"""How fluent drafts are, and how far a voice may lean before they are no longer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from core.protocols import Chunk, DraftRequest, Latent, Likelihood, Message, Sampling
from models import fluency
from models.decoder_llama import LlamaDecoder
from models.decoder_torch import TorchDecoder
from models.fluency import (
    MAX_RISE,
    STRENGTHS,
    Fluency,
    WrittenDraft,
    distinct2,
    fluent_strength,
    perplexity,
    write_drafts,
)
from models.learner import Parts
from models.personal_encoder import GaussianEncoder
from tests import tiny
from tests.hooked_decoder import HookedDecoder

HELLO = (Message("user", "Hello"),)
MAIL = (Message("user", "Write a mail about the garden"),)
SHORT = Sampling(max_tokens=12)

# --- variety ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["a b c d"], 1.0),
        (["a b a b"], 2 / 3),
        (["a a a a a"], 1 / 4),
        (["a b", "a b"], 1 / 2),
        (["a b", "b a"], 1.0),  # no pair spans two texts
        (["one", "", "two"], 0.0),
        ([], 0.0),
    ],
)
def test_distinct2_by_hand(texts: list[str], expected: float) -> None:
    assert distinct2(texts) == pytest.approx(expected)


# --- drafts and their perplexity, on the tiny backbone ----------------------------------------------------------


def test_drafts_of_one_batch_have_the_same_dice_and_their_own_latents(tiny_llama: LlamaDecoder) -> None:
    near, far = tiny.tiny_latents(2)
    drafts = write_drafts(tiny_llama, HELLO, [near, near, None, 5 * far], SHORT, 3)
    assert [draft.messages for draft in drafts] == [HELLO] * 4
    assert drafts[0] == drafts[1]
    assert len({draft.text for draft in drafts}) == 3
    assert write_drafts(tiny_llama, HELLO, [near], SHORT, 3) == drafts[:1]
    assert write_drafts(tiny_llama, HELLO, [near], SHORT, 4) != drafts[:1]


def test_perplexity_is_that_of_all_tokens_together(tiny_llama: LlamaDecoder, tiny_torch: TorchDecoder) -> None:
    texts = ["I hope you are well.", "The train was late, the rain was cold, and the coffee machine was broken again."]
    drafts = [WrittenDraft(HELLO, text) for text in texts]
    each = [tiny_llama.likelihood(HELLO, text) for text in texts]
    assert each[0].tokens != each[1].tokens
    expected = math.exp(sum(e.nll for e in each) / sum(e.tokens for e in each))
    assert perplexity(tiny_llama, drafts) == pytest.approx(expected)
    assert perplexity(tiny_torch, drafts) == pytest.approx(expected, rel=0.05)


def test_what_the_model_would_say_itself_is_less_surprising(tiny_llama: LlamaDecoder) -> None:
    own = write_drafts(tiny_llama, HELLO, [None], Sampling(temperature=0, max_tokens=24), 0)
    backwards = [WrittenDraft(HELLO, own[0].text[::-1])]
    assert perplexity(tiny_llama, own) < perplexity(tiny_llama, backwards) / 2


def test_empty_drafts_have_no_perplexity(tiny_llama: LlamaDecoder) -> None:
    drafts = [WrittenDraft(HELLO, "I hope you are well.")]
    empty = [WrittenDraft(HELLO, ""), WrittenDraft(HELLO, " \n")]
    assert perplexity(tiny_llama, drafts + empty) == perplexity(tiny_llama, drafts)
    assert perplexity(tiny_llama, empty) == 1.0


# --- how far a voice may lean -----------------------------------------------------------------------------------

ENCODER = GaussianEncoder(Parts(np.linspace(-1, 1, 8), np.zeros(8), {"mail": np.ones(8)}))
PROMPTS: list[tuple[Sequence[Message], str]] = [(HELLO, "other"), (MAIL, "mail")]


class Judge(HookedDecoder):
    """Says for each strength of `ENCODER` what it is told to; of all words only 'odd' is improbable."""

    def __init__(self, generic: str, *leaning: str) -> None:
        super().__init__()
        self.says = {
            ENCODER.scaled(strength).mean(messages, context).tobytes(): text
            for strength, text in zip((0.0, *STRENGTHS), (generic, *leaning), strict=True)
            for messages, context in PROMPTS
        }

    def generate(
        self,
        messages: Sequence[Message],
        requests: Sequence[DraftRequest],
        sampling: Sampling,
        *,
        cancelled: Callable[[], bool] = lambda: False,
        on_prefill: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Chunk]:
        self.texts = [self.says[request.z.tobytes()] for request in requests if request.z is not None]
        return super().generate(messages, requests, sampling, cancelled=cancelled, on_prefill=on_prefill)

    def likelihood(self, messages: Sequence[Message], response: str, z: Latent | None = None) -> Likelihood:
        words = response.split()
        return Likelihood(sum(3.0 if word == "odd" else 1.0 for word in words), len(words))


FINE = " ".join(f"word{i}" for i in range(40))
DULL = "the same the same the same the same " * 5
BAD = [DULL, f"{'odd ' * 40}{FINE}", ""]


def judged(*leaning: str, progress: Callable[[float], None] = lambda share: None) -> Fluency:
    return fluent_strength(Judge(FINE, *leaning), PROMPTS, ENCODER, Sampling(), progress)


def test_a_voice_that_stays_fluent_keeps_its_strength() -> None:
    assert judged(FINE, DULL, DULL, DULL).strength == 1.0


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("first_good", [1, 2, 3])
def test_a_voice_backs_off_until_its_drafts_are_fluent_and_varied(bad: str, first_good: int) -> None:
    found = judged(*[bad] * first_good, *[FINE] * (len(STRENGTHS) - first_good))
    assert found.strength == STRENGTHS[first_good]
    assert (found.personal, found.personal_distinct2) == (found.generic, found.generic_distinct2)


@pytest.mark.parametrize("bad", BAD)
def test_a_voice_that_is_never_fluent_has_no_strength_and_says_why(bad: str) -> None:
    found = judged(*[bad] * len(STRENGTHS))
    assert found.strength == 0
    assert found.generic == pytest.approx(math.e)
    assert (
        found.fault == f"perplexity {found.personal:.1f} against 2.7, variety {distinct2([bad, bad]):.2f} against 0.50"
    )


@pytest.mark.parametrize(("words", "allowed"), [(12, False), (48, True)])
def test_a_small_rise_is_allowed_and_a_larger_one_is_not(words: int, allowed: bool) -> None:
    """Of so many words, and as many between which 9 odd ones stand apart, the odd ones cost 3 nats instead of 1."""
    varied = [f"word{i}" for i in range(words)]
    leaning = " ".join(word for i, own in enumerate(varied) for word in ([own, "odd"] if i < 9 else [own]))
    rise = math.exp((words + 27) / (words + 9)) - math.e
    assert (rise <= MAX_RISE) == allowed
    assert judged(leaning, FINE, FINE, FINE).strength == (1.0 if allowed else STRENGTHS[1])


def test_each_strength_is_asked_with_its_own_latent_in_its_kind_of_writing() -> None:
    decoder = Judge(FINE, DULL, DULL, DULL, FINE)
    fluent_strength(decoder, PROMPTS, ENCODER, Sampling())
    for messages, context in PROMPTS:
        requests = [request for asked, batch in decoder.asked for request in batch if asked == list(messages)]
        expected = [ENCODER.scaled(strength).mean(messages, context) for strength in (0.0, *STRENGTHS)]
        np.testing.assert_array_equal([request.z for request in requests], expected)
        assert not expected[0].any()
        assert len({request.seed for request in requests}) == 1


def test_a_fluent_voice_costs_no_more_than_two_drafts_a_prompt() -> None:
    decoder = Judge(FINE, FINE, FINE, FINE, FINE)
    fluent_strength(decoder, PROMPTS, ENCODER, Sampling())
    assert [len(requests) for _, requests in decoder.asked] == [2, 2]


def test_progress_only_grows() -> None:
    told: list[float] = []
    judged(DULL, DULL, DULL, FINE, progress=told.append)
    assert told == sorted(told)
    assert 0 <= told[0] < told[-1] <= 1


def test_it_runs_on_a_real_decoder(tiny_llama: LlamaDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fluency, "PROBE_TOKENS", 12)
    encoder = GaussianEncoder(Parts(np.full(tiny.LATENT_SIZE, 1.0), np.zeros(tiny.LATENT_SIZE), {}))
    found = fluent_strength(tiny_llama, PROMPTS, encoder, Sampling())
    assert found.strength in (0.0, *STRENGTHS)
    origin = np.zeros(tiny.LATENT_SIZE, np.float32)
    drafts = [write_drafts(tiny_llama, messages, [origin], SHORT, i)[0] for i, (messages, _) in enumerate(PROMPTS)]
    assert found.generic == pytest.approx(perplexity(tiny_llama, drafts), rel=0.02)
    assert found.generic_distinct2 == pytest.approx(distinct2([draft.text for draft in drafts]), abs=0.02)
