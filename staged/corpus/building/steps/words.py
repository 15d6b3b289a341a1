"""Words and sentences for datatrove's filters, by our own rules: its usual tokenizers are other
libraries' (spaCy, NLTK), which are not needed here.
"""

from __future__ import annotations

import re

from datatrove.utils.word_tokenizers import WordTokenizer

from staged.corpus.passages import sentence_spans

TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")


class Words(WordTokenizer):  # type: ignore[misc]
    """A word is a run of letters and digits, apostrophes inside it too; any other sign is one by
    itself, as spaCy's are.
    """

    def word_tokenize(self, text: str) -> list[str]:
        """Words and signs, in their order."""
        return TOKEN.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        """Sentences, in their order."""
        return [text[start:end] for start, end in self.span_tokenize(text)]

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        """(first character, the one after the last) of each sentence; of no sentence one span."""
        return list(sentence_spans(text)) or [(0, len(text))]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Words)  # datatrove keeps a tokenizer's results by it

    def __hash__(self) -> int:
        return hash(Words)
