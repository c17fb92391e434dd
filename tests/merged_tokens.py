"""A tokenizer of bytes and of some longer tokens, which go on past the end of an entity as real ones do."""

from __future__ import annotations

from llguidance import LLTokenizer, TokenizerWrapper


class _Vocabulary:
    """What llguidance asks of a tokenizer."""

    longer = (b"<end>", b'"},', b"},{", b'"}]', b'"},{"', b"}]", b"\nPER", b"\n\n")
    tokens = (*(bytes([each]) for each in range(256)), *longer)
    eos_token_id, bos_token_id, special_token_ids = 256, None, (256,)

    def __call__(self, text: bytes) -> list[int]:
        """Return the longest tokens one after another."""
        ids = list[int]()
        while text:
            longest = max(filter(text.startswith, self.tokens), key=len)
            ids.append(self.tokens.index(longest))
            text = text[len(longest) :]
        return ids


MERGED = LLTokenizer(TokenizerWrapper(_Vocabulary()))


def token(written: bytes) -> int:
    """The token of some bytes."""
    return _Vocabulary.tokens.index(written)
