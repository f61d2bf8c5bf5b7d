"""`penpal rate --plain`: pair after pair in plain lines, one answer each."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from app.pair_choice import PairChoice
from app.plain import InputEnded, Lines, leaving_on_signals
from app.plain_drafting import edited_by_hand, learn, said_texts
from app.tui.pair_maker import PairMaker, RatedPair
from app.tui.rating_session import Answer, RatingSession, Reply, history_of
from app.tui.rating_words import said, summary
from app.tui.wording import in_words
from core.errors import PenPalError
from core.feedback import Strength

if TYPE_CHECKING:
    from app.pair_sources import PairSource
    from app.wiring import PenPal
    from core.session import Writer

LOOK_EVERY_S = 0.05
PATIENCE_S = 1.0
"""After so long without a pair it is said what the person waits for."""
HELP = """\
1, 2  pick the draft that is more like you; 1! or 2! when it clearly is
t  both are as good as each other
b  both are bad
s  skip: no opinion, teaches nothing
e 1, e 2  write that draft as you would
w too long  says why, before you answer
v  read the pair again
u  take the last answer back
q  stop; all answers are kept"""


def run_plain_rate(penpal: PenPal, source: PairSource, *, goal: int) -> int:
    """Asks until the person leaves or there are no more pairs; returns the exit code."""
    with leaving_on_signals():
        return PlainRate(penpal, Lines(), source, goal=goal).run()


class PlainRate:
    """One session. Answers are recorded as they are on the drawn screen."""

    def __init__(self, penpal: PenPal, lines: Lines, source: PairSource, *, goal: int) -> None:
        self.penpal, self.lines = penpal, lines
        self.maker = PairMaker(source, PairChoice(penpal))
        self.session = RatingSession(goal)
        self._pair: RatedPair | None = None
        self._why: str | None = None
        self._loading: Future[Writer]
        self._making: Future[None]

    def run(self) -> int:
        """Asks until the person leaves or there are no more pairs; returns the exit code."""
        code = 0
        with ThreadPoolExecutor(1, thread_name_prefix="make pairs") as thread:
            self._loading = thread.submit(self.penpal.writer)
            self._making = thread.submit(lambda: self.maker.run(self._loading.result()))
            try:
                self.lines.say("Which draft is more like you? h and Enter shows what you can answer.")
                while self._next() and self._answered():
                    pass
            except InputEnded as end:
                code = end.exit_code
            except KeyboardInterrupt:
                code = 130
            finally:
                self.maker.stop()
        self.lines.say(summary(self.session, history_of(self.penpal.store).days_in_a_row))
        return code

    # --- pairs ------------------------------------------------------------------------------------------------

    def _next(self) -> bool:
        """Waits for a pair and reads it out, unless one is open; False when none comes any more."""
        waiting_since, told = time.monotonic(), False
        while self._pair is None:
            ended = self._making.done()
            if (pair := self.maker.take()) is not None:
                self._show(pair)
            elif ended:
                if (error := self._making.exception()) is not None:
                    raise error
                self.lines.say("All pairs are answered.")
                return False
            elif not told and time.monotonic() - waiting_since > PATIENCE_S:
                self.lines.say("The next pair is being written.")
                told = True
            else:
                time.sleep(LOOK_EVERY_S)
        return True

    def _show(self, pair: RatedPair) -> None:
        self._pair, self._why = pair, None
        if self.session.started is None:
            self.session.started = time.monotonic()
        self._read_out(pair)

    def _read_out(self, pair: RatedPair) -> None:
        """The prompt and both drafts; nothing tells which is which."""
        drafts = [(draft.text, ", cut" * cut) for draft, cut in zip(pair.shown, pair.cut, strict=True)]
        number = len(self.session) + 1
        self.lines.say(f"\nPair {number} of {max(number, self.session.goal)}. The prompt: {pair.prompt}")
        self.lines.say(said_texts(drafts))

    # --- answers ----------------------------------------------------------------------------------------------

    def _answered(self) -> bool:
        """Asks about the pair that is open; False when the person wants to stop."""
        assert self._pair is not None
        pair = self._pair
        heard = self.lines.ask("\nYour answer: 1 or 2? h shows all.\n").strip()
        command, _, rest = heard.lower().partition(" ")
        match command:
            case "q" | "quit" | "exit":
                return False
            case "h" | "help" | "?" | "":
                self.lines.say(HELP)
            case "1" | "1!" | "2" | "2!" if not rest:
                strength: Strength = "clear" if command.endswith("!") else "slight"
                self._reply(pair, Reply("left" if command[0] == "1" else "right", strength, self._why))
            case "t" | "tie" if not rest:
                self._reply(pair, Reply("tie", note=self._why))
            case "b" if not rest:
                self._reply(pair, Reply("both_bad", note=self._why))
            case "s" | "skip" if not rest:
                self._reply(pair, Reply("skip", note=self._why))
            case "e" | "edit" if rest in ("1", "2"):
                self._edit(pair, int(rest) - 1)
            case "e" | "edit":
                self.lines.say("Which one? e 1 or e 2.")
            case "w" | "why":
                self._why = rest or None
                self.lines.say(f"Because: {rest}. Now choose." if rest else "Say why after the w: w too long.")
            case "v":
                self._read_out(pair)
            case "u" | "undo":
                self._undo(pair)
            case _:
                self.lines.say(f"There is no answer '{heard}'. h and Enter lists them.")
        return True

    def _reply(self, pair: RatedPair, reply: Reply) -> None:
        try:
            act_id = reply.record(self._loading.result(), pair)
        except PenPalError as error:
            self.lines.say(f"{in_words(error)} This pair is not answered yet.")
            return
        if act_id is None:
            self.lines.say("You changed nothing, so no edit was kept.")
            return
        learn(self.penpal, self._loading, pair.turn_id)
        self.session.answers.append(Answer(pair, reply, act_id))
        self.lines.say(f"Noted: {said(self.session.answers[-1])}.")
        if len(self.session) == self.session.goal:
            self.lines.say(f"{self.session.goal} answered: that was your goal. Go on as long as you like; q sums up.")
        self._pair = None
        self.maker.perhaps_ask_again(self.session.to_ask_again)

    def _edit(self, pair: RatedPair, side: int) -> None:
        draft = pair.shown[side]
        try:
            text = edited_by_hand(self.lines, self.penpal.store, draft.id, draft.text)
        except PenPalError as error:
            self.lines.say(in_words(error))
            return
        if text is None:
            self.lines.say("The draft is as it was.")
        else:
            self._reply(pair, Reply("edit", note=self._why, edited=(draft.id, text)))

    def _undo(self, pair: RatedPair) -> None:
        if not self.session.answers:
            self.lines.say("There is nothing to take back here.")
            return
        last = self.session.answers.pop()
        self._loading.result().recorder.undo(last.pair.turn_id, last.act_id)
        learn(self.penpal, self._loading, last.pair.turn_id)
        self.lines.say(f"Taken back: {said(last)}.")
        self.maker.put_back(pair)
        self._show(last.pair)
