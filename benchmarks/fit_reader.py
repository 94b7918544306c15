"""Fits the reader of questions: two joint readers, and the weights of the evidence.

    python benchmarks/fit_reader.py --kept FOLDER --write

Stages, some seven hours of one core: a sentence model as joint reader, which only teaches; the small one that ships,
which first learns the sentence model's vectors; the language model; the weights of what words say, and those that join
words and readers. The joint readers are kept in the folder and taken from there the next time. They and the words'
weights are fitted on `reader/questions` and the phrasebook, the weights that join them on JOINED, which others wrote or
in another manner. Printed are, on JOINED, the figures of the joint readers' logits alone, and then of each file those
with weights from the other files.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from reader.data import Setting, grouped, read_hands, read_phrasebook, read_rows, settings
from reader.export import write_language, write_small, write_weights
from reader.language import Language
from reader.models import Large, Reader, Small, encoder
from reader.training import pretrain, train
from reader.vocabulary import vocabulary
from reader.weighing import alone, figures, read, weigh_both, weigh_words

from mocktrial.agents.local.weights import smollm2_folder
from mocktrial.envs.users import interpret
from mocktrial.envs.users.dense import load_dense
from mocktrial.envs.users.reading.facts import put
from mocktrial.envs.users.reading.shipped import load_shipped
from mocktrial.envs.users.reading.weights import Weights

JOINED = ("questions_other", "questions_held", "questions_apart", "questions_sealed", "questions_strangers")
# threshold, sure and maybe (envs/users/reading/weights.py): chosen on JOINED and on conversations of the certificate
LIMITS = {"lexical": (0.66, 0.95, 0.17), "dense": (0.58, 0.99, 0.17)}
_SAMPLE = 300  # texts that show which inner units matter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, required=True, help="folder in which the joint readers are kept")
    parser.add_argument("--write", action="store_true", help="replace the files of envs/users/reading")
    given = parser.parse_args()
    given.kept.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums in one order wherever it runs
    large, small, language = Large(), _small(), Language()
    _kept(given.kept / "large.pt", large, lambda: _train_large(large))
    _kept(given.kept / "small.pt", small, lambda: _train_small(small, large))
    _kept(given.kept / "language.pt", language, lambda: _train_language(language))
    for reader in (large, small, language):
        found = alone(reader, read_rows(*JOINED))
        print(type(reader).__name__, "alone: recall at precision .95 {:.3f}, best F {:.3f}".format(*found), flush=True)
    if given.write:
        write_small(small)
        write_language(language)
        words = weigh_words(read(read_hands()))
        joined = {joint.name: _weigh(joint, words) for joint in (load_shipped(), load_dense(smollm2_folder()))}
        write_weights({"words": words, **joined})


def _kept(path: Path, reader: Reader, fit: Callable[[], None]) -> None:
    if path.is_file():
        reader.load_state_dict(torch.load(path))
    else:
        fit()
        torch.save(reader.state_dict(), path)
    reader.eval()


def _weigh(joint: interpret.Reader, words: Weights) -> Weights:
    """The weights that join a reader to the words, by the joint readers as they were written."""
    reads = {name: read(read_rows(name), joint) for name in JOINED}
    limits = dict(zip(("threshold", "sure", "maybe"), LIMITS[joint.name], strict=True))
    for name, own in reads.items():
        others = [one for other, rows in reads.items() if other != name for one in rows]
        weights = replace(weigh_both(others, words), **limits)
        print(joint.name, name, "precision {:.3f}, recall {:.3f}".format(*figures(own, words, weights)), flush=True)
    return replace(weigh_both([one for rows in reads.values() for one in rows], words), **limits)


def _settings() -> Callable[[], Iterable[Setting]]:
    """The rows, each time with the phrasebook in other groups."""
    known, book, rng = settings(read_hands()), read_phrasebook(), random.Random(1)
    return lambda: [*known, *grouped(book, rng)]


def _train_language(language: Language) -> None:
    for rate in (8e-4, 6e-4, 6e-4):
        train(language, _settings(), epochs=1, rate=rate)


def _train_large(large: Large) -> None:
    for rate in (1e-3, 6e-4):
        train(large, _settings(), epochs=2, rate=rate)


def _train_small(small: Small, large: Large) -> None:
    texts = _texts()
    pretrain(small, texts, torch.tensor(encoder().vectors(texts)))
    train(small, _settings(), epochs=4, rate=3e-4)
    train(small, _settings(), epochs=2, rate=2e-4, teacher=large)


def _small() -> Small:
    texts = _texts()
    return Small(vocabulary(texts), texts[:_SAMPLE])


def _texts() -> list[str]:
    """Every message, fact and entry of the phrasebook, facts in the ways in which they are put."""
    known = settings(read_hands())
    facts = [fact for setting in known for fact in setting.facts] + [entry.fact for entry in read_phrasebook()]
    messages = [text for setting in known for text, _ in setting.messages]
    messages += [question for entry in read_phrasebook() for question in entry.questions]
    ways = [put(fact, about=about, value=value) for fact in facts for about, value in ((1, 1), (0, 1), (1, 0))]
    return list(dict.fromkeys((*messages, *ways)))


if __name__ == "__main__":
    main()
