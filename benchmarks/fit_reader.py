"""Fits the reader of questions: two joint readers, and the weights of the evidence.

    python benchmarks/fit_reader.py --kept FOLDER --write

Stages, some hour of one core: the joint reader beside the sentence model; the small one that ships, which first learns
the sentence model's vectors; the weights of what words say; and those that join the two. The joint readers are kept in
the folder and taken from there the next time. They and the words' weights are fitted on `reader/questions` and the
phrasebook, the weights that join them on JOINED, which others wrote or in another manner. For each file of JOINED the
figures are printed with weights from the other files.

    python benchmarks/fit_reader.py --kept FOLDER --language

A language model in place of the sentence model (`reader/language.py`), four hours of one core. Nothing ships of it: it
prints what its logits alone can do on JOINED, beside those of the reader with the sentence model where that is kept.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from reader.data import Setting, grouped, read_hands, read_phrasebook, read_rows, settings
from reader.export import write_large, write_small, write_weights
from reader.language import Language
from reader.models import Large, Reader, Small, encoder
from reader.training import pretrain, train
from reader.vocabulary import vocabulary
from reader.weighing import alone, figures, read, weigh_both, weigh_words

from mocktrial.envs.users.dense import load_similarity
from mocktrial.envs.users.reading.facts import put
from mocktrial.envs.users.reading.shipped import load_shipped
from mocktrial.envs.users.reading.weights import Weights

JOINED = ("questions_other", "questions_held", "questions_apart", "questions_sealed", "questions_strangers")
# threshold, sure and maybe (envs/users/reading/weights.py): chosen on JOINED and on conversations of the certificate
LIMITS = {"lexical": (0.66, 0.95, 0.17), "dense": (0.66, 0.96, 0.17)}
_SAMPLE = 300  # texts that show which inner units matter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kept", type=Path, required=True, help="folder in which the joint readers are kept")
    parser.add_argument("--write", action="store_true", help="replace the files of envs/users/reading")
    parser.add_argument("--language", action="store_true", help="fit a language model as reader, to compare")
    given = parser.parse_args()
    given.kept.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # sums in one order wherever it runs
    if given.language:
        _compare(given.kept)
        return
    large, small = Large(), _small()
    _kept(given.kept / "large.pt", large, lambda: _train_large(large))
    _kept(given.kept / "small.pt", small, lambda: _train_small(small, large))
    if given.write:
        write_large(large)
        write_small(small)
        write_weights(_weigh())


def _kept(path: Path, reader: Reader, fit: Callable[[], None]) -> None:
    if path.is_file():
        reader.load_state_dict(torch.load(path))
    else:
        fit()
        torch.save(reader.state_dict(), path)
    reader.eval()


def _compare(kept: Path) -> None:
    language, large = Language(), Large()
    _kept(kept / "language.pt", language, lambda: train(language, _settings(), epochs=2, rate=6e-4))
    readers: dict[str, Reader] = {"language": language}
    if (kept / "large.pt").is_file():
        _kept(kept / "large.pt", large, lambda: None)
        readers["sentence"] = large
    for name, reader in readers.items():
        print(name, "recall at precision .95: {:.3f}, best F: {:.3f}".format(*alone(reader, read_rows(*JOINED))))


def _weigh() -> dict[str, Weights]:
    """The weights by table, by the joint readers that were just written."""
    found = {"words": weigh_words(read(read_hands()))}
    dense = load_similarity()
    assert dense is not None
    for table, joint in (("lexical", load_shipped()), ("dense", dense)):
        reads = {name: read(read_rows(name), joint) for name in JOINED}
        limits = dict(zip(("threshold", "sure", "maybe"), LIMITS[table], strict=True))
        for name, own in reads.items():
            others = [one for other, rows in reads.items() if other != name for one in rows]
            weights = replace(weigh_both(others, found["words"]), **limits)
            print(
                table,
                name,
                "precision {:.3f}, recall {:.3f}".format(*figures(own, found["words"], weights)),
                flush=True,
            )
        whole = weigh_both([one for rows in reads.values() for one in rows], found["words"])
        found[table] = replace(whole, **limits)
    return found


def _settings() -> Callable[[], Iterable[Setting]]:
    """The rows, each time with the phrasebook in other groups."""
    known, book, rng = settings(read_hands()), read_phrasebook(), random.Random(1)
    return lambda: [*known, *grouped(book, rng)]


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
