"""Words and their meaning: folding, stems, phrases, and how near two words are.

Two words are near when they are one word (inflected, derived, misspelt) or share an idea of
`lexicon/concepts.txt`. Nothing here knows of facts or questions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import snowballstemmer
from rapidfuzz import fuzz

from mocktrial.envs.users.reading import lexicon
from mocktrial.mocktools.values import fold

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[?]")
_CONTRACTIONS = (
    (re.compile(r"\bcan't\b"), "cannot"),
    (re.compile(r"\bwon't\b"), "will not"),
    (re.compile(r"n't\b"), " not"),
    (re.compile(r"'re\b"), " are"),
    (re.compile(r"'ll\b"), " will"),
    (re.compile(r"'ve\b"), " have"),
    (re.compile(r"\bi'm\b"), "i am"),
    (re.compile(r"\blet's\b"), "let us"),
    (re.compile(r"\b(what|who|where|when|why|how|which|that|it|there|here|he|she)'?s\b(?<!its)"), r"\1 is"),
    (re.compile(r"\b(i|you|we|they|he|she|it|what|who|that)'d\b"), r"\1 would"),
    (re.compile(r"\be-(mail|sim)"), r"e\1"),
    (re.compile(r"\bd\.? ?o\.? ?b\b\.?"), "date of birth"),
    (re.compile(r"\bwere (?=(?:can|do|does|did|is|are|r|u|shall|should|will|would)\b)"), "where "),
    (re.compile(r"(?<=\w)'s\b"), ""),
)
_NAME, _HINT = 0.9, 0.65  # nearness of a word to an idea that it names, that it hints at
_PARTICLES = frozenset(("up", "off", "in", "out", "back", "over", "along", "for"))
_GAP = 3  # words that may stand inside a phrase that ends in a particle
_SLIP = 85.0  # rapidfuzz ratio from which two long words are one word spelled twice
_DERIVED = 0.8
_PART = 0.75  # of a phrase and a word in it


@dataclass(frozen=True, slots=True)
class Word:
    """A word or a phrase of the lexicon, in its place."""

    stem: str  # of a phrase: its stems joined by _
    weight: float  # what it says when it stands alone: 0 for function words


@lru_cache(maxsize=4096)
def plain(text: str) -> str:
    """Folded text with straight quotes and without contractions."""
    text = fold(text.replace("’", "'").replace("‘", "'").replace("“", '"').replace("”", '"'))
    for found, instead in _CONTRACTIONS:
        text = found.sub(instead, text)
    return _WORD.sub(lambda found: _shorthand().get(found[0], found[0]), text)


@lru_cache(maxsize=1)
def _shorthand() -> Mapping[str, str]:
    split = (line.partition(": ") for line in lexicon.lines("shorthand"))
    return {form: instead for form, _, instead in split}


@lru_cache(maxsize=1)
def _irregular() -> Mapping[str, str]:
    return dict(line.split() for line in lexicon.lines("irregular"))


_stemmer = snowballstemmer.stemmer("english")


@lru_cache(maxsize=16384)
def stem(word: str) -> str:
    word = _irregular().get(word, word)
    return str(_stemmer.stemWord(word))


@lru_cache(maxsize=1)
def _ideas() -> tuple[Mapping[str, Mapping[str, float]], Mapping[str, tuple[tuple[str, ...], ...]]]:
    """Ideas of a stem or joined phrase with their nearness, and phrases by their first stem, longest first."""
    ideas: dict[str, dict[str, float]] = {}
    phrases: dict[str, list[tuple[str, ...]]] = {}
    for line in lexicon.lines("concepts"):
        idea, _, rest = line.partition(":")
        named, _, hinted = rest.partition("|")
        for words, nearness in ((named, _NAME), (hinted, _HINT)):
            for word in words.split():
                stems = tuple(stem(part) for part in word.split("_"))
                near = ideas.setdefault("_".join(stems), {})
                near[idea] = max(near.get(idea, 0.0), nearness)
                if len(stems) > 1 and stems not in phrases.setdefault(stems[0], []):
                    phrases[stems[0]].append(stems)
    ordered = {first: tuple(sorted(found, key=len, reverse=True)) for first, found in phrases.items()}
    return ideas, ordered


@lru_cache(maxsize=1)
def _weights() -> Mapping[str, float]:
    """What words weigh that are not plain content words, by stem."""
    kinds = {word for group in lexicon.groups("kinds").values() for word in group}
    weights = {stem(word): 0.6 for word in sorted(kinds)}
    weights |= {stem(word): 0.2 for word in lexicon.lines("light")}
    return weights | {stem(word): 0.0 for word in lexicon.lines("stop")}


def weight(word_stem: str) -> float:
    if word_stem.isdigit():
        return 0.3
    return _weights().get(word_stem, 1.0)


@lru_cache(maxsize=8192)
def words(text: str) -> tuple[Word, ...]:
    """Words of `text` in order, phrases of the lexicon as one; function words included with weight 0."""
    stems = [stem(found) for found in _WORD.findall(plain(text)) if found != "?"]
    _, phrases = _ideas()
    out: list[Word] = []
    skipped: set[int] = set()
    for place, first in enumerate(stems):
        if place in skipped:
            continue
        for phrase in phrases.get(first, ()):
            if places := _places(stems, place, phrase):
                skipped.update(places)
                out.append(Word("_".join(phrase), 1.0))
                break
        else:
            out.append(Word(first, weight(first)))
    return tuple(out)


def _places(stems: list[str], place: int, phrase: tuple[str, ...]) -> tuple[int, ...]:
    """Where the words of `phrase` stand from `place` on; empty when they do not."""
    if tuple(stems[place : place + len(phrase)]) == phrase:
        return tuple(range(place, place + len(phrase)))
    if len(phrase) == 2 and phrase[1] in _PARTICLES:
        for gap in range(2, 2 + _GAP):
            if place + gap < len(stems) and stems[place + gap] == phrase[1]:
                return (place, place + gap)
    return ()


@lru_cache(maxsize=65536)
def near(one: str, other: str) -> float:
    """From 0 (nothing in common) to 1 (the same word), of two stems or phrases."""
    if one == other:
        return 1.0
    if ("_" in one and other in one.split("_")) or ("_" in other and one in other.split("_")):
        return _PART if weight(one) and weight(other) else 0.0
    ideas, _ = _ideas()
    mine, its = ideas.get(one, {}), ideas.get(other, {})
    best = 0.0
    for idea, nearness in mine.items():
        if idea in its:
            least, most = sorted((nearness, its[idea]))
            best = max(best, least if most == _NAME else 0.35)
    if best < _DERIVED and _derived(one, other):
        best = _DERIVED
    if best == 0.0 and min(len(one), len(other)) >= 5 and not (mine and its) and one[0] == other[0]:
        best = _DERIVED if fuzz.ratio(one, other) >= _SLIP else 0.0
    return best


def _derived(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    common = 0
    while common < len(shorter) and shorter[common] == longer[common]:
        common += 1
    if len(shorter) - common > 1 or common < 5:
        return False
    return longer[common:] in lexicon.words("suffixes") or (common >= 6 and len(longer) - common <= 3)
