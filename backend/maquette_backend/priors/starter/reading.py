"""How much of a text a tokenizer keeps."""

from __future__ import annotations

from tokenizers import Tokenizer


def chars_read(tokenizer: Tokenizer, text: str) -> int:
    """Characters of ``text``, without blanks around it, up to where ``tokenizer`` cuts it."""
    stripped = text.strip()
    encoding = tokenizer.encode(stripped)
    if not encoding.overflowing:
        return len(stripped)
    marks = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return max((end for (_start, end), special in marks if not special), default=0)
