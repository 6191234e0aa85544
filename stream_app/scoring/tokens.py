"""From prepared text to token ids: the one tokenising path, for serving and for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from schemas.bundle import BundleError
from stream_app.text.model_input import ModelInput

TOKENIZER = "tokenizer.json"
# No piece of a Unigram or WordPiece vocabulary in use is longer; text past this many characters cannot reach the model,
# so a 20,000-character paste is cut before it is tokenised, not after.
CHARS_PER_TOKEN = 16


class Tokens(NamedTuple):
    ids: list[int]  # <s> text </s> [context </s>]
    text_length: int  # ids before this index are segment 0, those from it on are the context, segment 1


class TextEncoder:
    """Thread-safe; `encode` releases the interpreter lock while it works."""

    def __init__(self, folder: Path, max_tokens: int) -> None:
        path = folder / TOKENIZER
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the Rust library raises a bare Exception for everything
            raise BundleError(f"{path} cannot be loaded ({error}): copy the bundle again.") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._max_tokens = max_tokens
        self.vocabulary_size: int = self._tokenizer.get_vocab_size()
        self._first = self._special("<s>", "[CLS]")
        self._end = self._special("</s>", "[SEP]")

    def encode(self, inputs: Sequence[ModelInput]) -> list[Tokens]:
        """Token ids of each input, at most `max_tokens`.

        The text keeps its start, where reviews and complaints say what they are about; the context keeps its end, the
        turns nearest to the text. The text is what gets judged, so context may claim a quarter of the room at most.
        """
        longest = self._max_tokens * CHARS_PER_TOKEN
        texts = self._tokenizer.encode_batch_fast([text[:longest] for text, _ in inputs], add_special_tokens=False)
        wanted = [context[-longest:] for _, context in inputs if context]
        contexts = iter(self._tokenizer.encode_batch_fast(wanted, add_special_tokens=False))
        return [
            self._assemble(text.ids, next(contexts).ids if context else [])
            for text, (_, context) in zip(texts, inputs, strict=True)
        ]

    def _assemble(self, text: list[int], context: list[int]) -> Tokens:
        room = self._max_tokens - 2
        if not context:
            ids = [self._first, *text[:room], self._end]
            return Tokens(ids, len(ids))
        room -= 1
        text = text[: room - min(len(context), room // 4)]
        context = context[-(room - len(text)) :]
        return Tokens([self._first, *text, self._end, *context, self._end], len(text) + 2)

    def _special(self, *names: str) -> int:
        found = (self._tokenizer.token_to_id(name) for name in names)
        for token in found:
            if token is not None:
                return token
        raise BundleError(f"The tokenizer has none of {names}: this is not a BERT vocabulary.")
