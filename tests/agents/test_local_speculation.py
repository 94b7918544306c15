"""Reused turns: an exact test gives the new policy's distribution, the plain redraw does not, and drafts end in time."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest

torch = pytest.importorskip("torch", reason="pip install 'mocktrial[train]'")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from scipy.stats import chisquare  # noqa: E402
from tests.support.logprobs import logprobs_of  # noqa: E402
from tests.support.tiny import decode, one_thread, tiny_llama  # noqa: E402, F401
from torch import Tensor  # noqa: E402

from mocktrial.agents.local.decoding import Decoder  # noqa: E402
from mocktrial.agents.local.render import Row  # noqa: E402
from mocktrial.agents.local.reuse import Follower, Reuse, Turn  # noqa: E402
from mocktrial.agents.local.sampler import History, Request, Sample  # noqa: E402
from mocktrial.agents.local.speculation import LENIENCE, Draft, Top, verify  # noqa: E402

DRAWS = 1000
SURE = 1e-6  # a p-value below it: certainly another distribution; above PLAUSIBLE: none that can be told apart
PLAUSIBLE = 1e-3
PROMPT = [4, 8, 6]


def _policies(seed: int, vocabulary: int = 7) -> tuple[Tensor, Tensor]:
    """Log-probabilities (V,) of an old policy and of one that moved away from it."""
    generator = torch.Generator().manual_seed(seed)
    old = torch.randn(vocabulary, generator=generator, dtype=torch.float64)
    new = old + torch.randn(vocabulary, generator=generator, dtype=torch.float64)
    return old.log_softmax(0), new.log_softmax(0)


def _reused(old: Tensor, new: Tensor, kept: int, lenience: float | None) -> list[int]:
    """DRAWS times one token: drawn from `old`, tested against `new`."""
    draw, out = random.Random(5), []
    drafts = torch.multinomial(old.exp(), DRAWS, replacement=True, generator=torch.Generator().manual_seed(7))
    top = Top.of(old[None], kept)
    for token in drafts.tolist():
        draft = Draft((token,), (float(old[token]),), top)
        stands, instead = verify(draft, new[None], draw, lenience)
        fresh = draw.choices(range(len(new)), new.exp().tolist())[0]
        out.append(token if stands else fresh if instead is None else instead)
    return out


def _p_value(tokens: Sequence[int], logprobs: Tensor) -> float:
    seen = Counter(tokens)
    expected = logprobs.exp() * len(tokens)
    return float(chisquare([seen[token] for token in range(len(expected))], expected).pvalue)


@settings(max_examples=6, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), kept=st.integers(1, 7))
def test_exact_reuse_has_the_new_policys_distribution(seed: int, kept: int) -> None:
    old, new = _policies(seed)
    assert _p_value(_reused(old, new, kept, None), new) > PLAUSIBLE


@pytest.mark.parametrize("lenience", [1.0, LENIENCE])
def test_drawing_again_from_the_new_policy_has_not(lenience: float) -> None:
    old, new = _policies(3)
    assert _p_value(_reused(old, new, 7, lenience), new) < SURE


def test_the_lenient_test_is_that_of_the_paper() -> None:
    old, new = _policies(3)
    token = int((new - old).argmin())
    accept = min(1.0, LENIENCE * math.exp(float(new[token] - old[token])))
    draft, draw = Draft((token,), (float(old[token]),)), random.Random(1)
    stood = sum(verify(draft, new[None], draw)[0] for _ in range(DRAWS))
    assert accept < 0.9
    assert abs(stood / DRAWS - accept) < 4 * math.sqrt(accept * (1 - accept) / DRAWS)


def test_the_exact_test_needs_what_was_kept() -> None:
    with pytest.raises(ValueError, match="likeliest"):
        verify(Draft((1,), (-1.0,)), _policies(3)[1][None], random.Random(0), None)


def _turns(
    decoder: Decoder, drafts: Sequence[Draft | None], lenience: float | None, tokens: int, *,
    epoch: int, kept: int = 16,
) -> list[Sample]:  # fmt: skip
    requests = [
        Request(History(list(PROMPT), 2), random.Random(f"{epoch}/{place}"), tokens, 1.0, draft, lenience, kept)
        for place, draft in enumerate(drafts)
    ]
    return decode(decoder, requests)


def _drafts(samples: Sequence[Sample]) -> list[Draft]:
    return [Draft(sample.ids, sample.logprobs, sample.top) for sample in samples]


@pytest.mark.parametrize(
    ("lenience", "epoch", "same"),
    [(None, 1, True), (1.0, 1, False), (None, 0, False)],
    ids=["exact", "drawn again", "exact, but with the random numbers that drew the drafts"],
)
def test_whole_turns_of_a_model(lenience: float | None, epoch: int, same: bool) -> None:
    old, new = tiny_llama(), tiny_llama(moved=0.01)
    drawn = _turns(Decoder(old, frozenset(), rows=2000), [None] * 2000, lenience, 2, epoch=0)
    reused = _turns(Decoder(new, frozenset(), rows=2000), _drafts(drawn), lenience, 2, epoch=epoch)
    assert 0.3 < sum(sample.reused for sample in reused) / 4000 < 0.95
    with torch.no_grad():
        first = new(torch.tensor([PROMPT])).logits[0, -1].softmax(-1)
        second = new(torch.tensor([[*PROMPT, token] for token in range(24)])).logits[:, -1].softmax(-1)
    expected = (first[:, None] * second).flatten() * 2000
    seen = torch.bincount(torch.tensor([a * 24 + b for a, b in (sample.ids for sample in reused)]), minlength=576)
    often = expected >= 5
    cells = [torch.cat([each[often], each[~often].sum()[None]]).double() for each in (seen, expected)]
    p_value = chisquare(cells[0], cells[1] * cells[0].sum() / cells[1].sum()).pvalue
    assert (p_value > PLAUSIBLE) if same else (p_value < SURE)


def test_what_stands_has_the_new_policys_logprobs_and_cache() -> None:
    old, new = tiny_llama(), tiny_llama(moved=0.01)
    drawn = _turns(Decoder(old, frozenset(), rows=64), [None] * 64, None, 8, epoch=0)
    decoder = Decoder(new, frozenset(), rows=64)
    histories = [History(list(PROMPT), 2) for _ in drawn]
    requests = [
        Request(history, random.Random(place), 8, 1.0, draft, None, 16)
        for place, (history, draft) in enumerate(zip(histories, _drafts(drawn), strict=True))
    ]
    first = decode(decoder, requests)
    assert 0 < sum(sample.reused == 8 for sample in first) < 64
    second = decode(decoder, [Request(history, random.Random(1), 4, 1.0) for history in histories])
    with torch.no_grad():
        taught = logprobs_of(new, [Row(tuple(history.ids), (0,) * 3 + (1,) * 12) for history in histories])
    for one, other, expected in zip(first, second, taught, strict=True):
        torch.testing.assert_close(torch.tensor(one.logprobs + other.logprobs, dtype=torch.float64), expected)


def test_unchanged_weights_reuse_all() -> None:
    model = tiny_llama()
    drawn = _turns(Decoder(model, frozenset({1, 6})), [None] * 40, None, 9, epoch=0, kept=24)
    again = _turns(Decoder(model, frozenset({1, 6})), _drafts(drawn), None, 9, epoch=1)
    assert [sample.reused for sample in again] == [len(sample.ids) for sample in drawn]
    assert [sample.ids for sample in again] == [sample.ids for sample in drawn]


def _turn(*ids: int, context: tuple[int, ...] = (1, 2)) -> Turn:
    return Turn(context, Draft(ids, (-1.0,) * len(ids)))


def _sample(turn: Turn) -> Sample:
    return Sample(turn.draft.ids, turn.draft.logprobs)


def test_reuse_goes_on_while_all_is_as_before() -> None:
    turns = (_turn(3, 4), _turn(5), _turn(6, 7))
    follower = Follower(Reuse(turns))
    for turn in turns:
        assert follower.draft(turn.context, 9) is turn.draft
        follower.note(turn.context, _sample(turn))
    assert follower.draft((1, 2), 9) is None
    assert follower.turns == list(turns)


def test_another_tool_result_ends_it() -> None:
    follower = Follower(Reuse((_turn(3, 4), _turn(5), _turn(6))))
    follower.note((1, 2), _sample(_turn(3, 4)))
    assert follower.draft((9, 9), 9) is None
    follower.note((9, 9), _sample(_turn(5)))
    assert follower.draft((1, 2), 9) is None


def test_another_turn_ends_it() -> None:
    follower = Follower(Reuse((_turn(3, 4), _turn(5))))
    follower.note((1, 2), _sample(_turn(3, 8)))
    assert follower.draft((1, 2), 9) is None


def test_a_draft_longer_than_a_turn_is_not_offered() -> None:
    follower = Follower(Reuse((_turn(3, 4, 5),)))
    assert follower.draft((1, 2), 2) is None
