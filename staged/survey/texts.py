"""A questionnaire's texts: the sentences of people that they begin with, and the sentence of the
model's that they end with.
"""

from __future__ import annotations

import random
import re

from staged.corpus.build import CorpusSettings, split_documents
from staged.corpus.passages import ABBREVIATION, PARAGRAPH_END, sentence_spans
from staged.errors import PlanError
from staged.files.sheets import one_line
from staged.records import count_words
from staged.samples.prompts import read_prompts
from staged.streams import derive
from staged.survey.plan import SurveySettings

__all__ = ["finished", "opening_sentences", "own_words"]

WORDS = range(
    8, 41
)  # of an opening sentence: enough to set a theme, and room for the model in a small context
FINISHED = (".", "!", "?", '."', '!"', '?"', ".”", "!”", "?”")
# Stops that end no sentence, where a text was cut behind them: of abbreviations, and within a
# number.
UNFINISHED = re.compile(
    rf"(?:{ABBREVIATION.pattern.removesuffix('$')}|\b(?:Jr|Sr|Prof|Rev|Sen|Rep|Gov|Lt|Sgt|Capt|Maj|Fr|Co|Inc|Ltd|Corp|Bros|etc|cf|e\.g|i\.e|"
    r"pp?|vol|ch|Fig|fig|Art|Sec|approx|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.|\d\.)[\"”]?$"
)


def opening_sentences(settings: SurveySettings) -> list[str]:
    """As many different sentences as the sheets need, in random order.

    Raises:
        PlanError: there are fewer.
        CorpusError, SamplingError: as `read_prompts` does.
    """
    groups = -(-settings.sheets // len(settings.models))
    wanted = groups * settings.texts
    sentences = (
        list(dict.fromkeys(map(one_line, read_prompts(settings.sentences))))
        if settings.sentences
        else _messages()
    )
    if len(sentences) < wanted:
        where = settings.sentences or "the embedded corpus"
        raise PlanError(
            f"survey: {where} holds {len(sentences)} different sentences, {wanted} are needed;"
            " lower --sheets or --each"
        )
    return random.Random(derive(settings.seed, "survey", "sentences")).sample(sentences, wanted)


def _messages() -> list[str]:
    """First sentences of paragraphs of the embedded corpus's test documents."""
    documents = [
        document for document in split_documents(CorpusSettings()) if document.split == "test"
    ]
    paragraphs = [
        one_line(part) for document in documents for part in PARAGRAPH_END.split(document.text)
    ]
    first = [text[slice(*next(sentence_spans(text)))] for text in paragraphs if text]
    return list(
        dict.fromkeys(
            sentence
            for sentence in first
            if len(sentence.split()) in WORDS and sentence.endswith(FINISHED)
        )
    )


def finished(sentence: str, added: str) -> str:
    """Sentence and addition in one line, up to the last sentence that was finished; where the model
    finished none, the sentence.
    """
    text, opening = one_line(sentence + added), one_line(sentence)
    ends = (end for _, end in reversed(list(sentence_spans(text))) if end > len(opening))
    return next(
        (
            text[:end]
            for end in ends
            if text[:end].endswith(FINISHED) and not UNFINISHED.search(text[:end])
        ),
        opening,
    )


def own_words(sentence: str, text: str) -> int:
    """Words of a text that its opening sentence does not have: the model's."""
    return count_words(text) - count_words(sentence)
