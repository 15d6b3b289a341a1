"""A blinded questionnaire: models continue sentences of people, and people rate the texts without
knowing whose they are.

One sheet is for one person. Every sheet holds as many texts of each model, and no opening sentence
twice. Sheets stand in groups as large as there are models: a group shares its sentences, and from
sheet to sheet each passes to the next model (a Latin square), so that in whole groups every model
continues every sentence. No text stands on two sheets: a sheet's ratings depend on each other only
through the person who gave them, and the person is what the intervals resample.

DIR/sheets/sheet-01.csv, .html    to hand out: for a spreadsheet, and for print
DIR/key.json                      whose text each row is; written last, and kept from those who rate
DIR/samples/<model>/              the continuations, in staged sample's rows; <model>~2, ~3 …: drawn
                                  again where they were too short

Source: the credibility study of GPT-2's staged release (Solaiman et al. 2019): stories from first
sentences, rated believable, accurate and clear.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from staged.corpus.build import CorpusSettings, split_documents
from staged.corpus.passages import ABBREVIATION, PARAGRAPH_END, sentence_spans
from staged.errors import ArtifactError, PlanError
from staged.files.sheets import not_a_key, one_line, read_key_file, words_digest, write_sheet_file
from staged.model.checkpoints import model_folder
from staged.model.sources.releases import folder_name
from staged.pages.figures import counted
from staged.progress import Progress, shifted, silent
from staged.records import count_words
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.prompts import read_prompts
from staged.samples.sample_stage import FILE, keep_folder
from staged.settings import LARGEST
from staged.storage.digests import digest
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.json_files import write_json
from staged.storage.writing import disk_errors, locked, write_atomic
from staged.streams import derive
from staged.survey.page import sheet_page

__all__ = ["HEADER", "KEY", "OF", "SCALES", "SurveySettings", "make_survey"]

SCALES = ("believable", "accurate", "clear")
HEADER = ("sheet", "row", "text", *SCALES, "remarks")
KEY, OF = "key.json", "staged survey"
KIND = "questionnaire"  # what its folder is called
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
OWN_WORDS = 10  # of the model at least in a text that people rate
TRIES = 8  # draws of a text until it has them


@dataclass(frozen=True)
class SurveySettings:
    """What is asked, and of how many people.

    Attributes:
        models: whose texts, smallest first.
        sheets: people who will answer.
        each: texts of each model on a sheet.
        length: tokens that a model adds at most; its text ends with the last sentence that it
            finished, and has OWN_WORDS of its own.
        method: how tokens are drawn, by name.
        sentences: file of opening sentences, one a line; empty takes them from presidential
            messages that no shipped model and no detector learned from.
        seed: everything random depends on it.
        batch, precision, device: as `SampleSettings` has them.
    """

    models: tuple[str, ...]
    sheets: int = 20
    each: int = 2
    length: int = 150
    method: str = "nucleus"
    sentences: str = ""
    seed: int = 1
    batch: int = 64
    precision: str = ""
    device: str = "cpu"

    def __post_init__(self) -> None:
        if not self.models:
            raise PlanError("survey: give at least one model")
        for name, count in Counter(self.models).items():
            if count > 1:
                raise PlanError(
                    f"survey: {name} is given twice; a comparison needs two different models"
                )
        for name, least in (("sheets", 2), ("each", 1), ("length", 1), ("batch", 1)):
            if not least <= getattr(self, name) <= LARGEST:
                raise PlanError(
                    f"survey: {name} must be at least {least} and at most {LARGEST:,}, not"
                    f" {getattr(self, name)}"
                )

    @property
    def texts(self) -> int:
        """Texts on a sheet."""
        return self.each * len(self.models)


@dataclass(frozen=True)
class _Slot:
    """One text to be: on which sheet, whose, from which sentence."""

    sheet: int
    model: str
    sentence: str


@dataclass(frozen=True)
class _Shown:
    """The text that stands on a sheet, and at which try the model wrote it."""

    text: str
    tries: int


def read_key(folder: Path) -> dict[str, Any]:
    """A questionnaire's settings, and whose text each row is.

    Raises:
        ArtifactError: missing or damaged.
    """
    key = read_key_file(folder / KEY, of=OF)
    try:
        models, _, rows = set(key["settings"]["models"]), int(key["settings"]["seed"]), key["rows"]
        whole = bool(rows) and all(
            one["model"] in models and {"sheet", "row", "text_sha256"} <= one.keys() for one in rows
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise not_a_key(folder / KEY, of=OF)
    return dict(key)


def make_survey(settings: SurveySettings, out: Path, progress: Progress = silent) -> int:
    """Generate the texts and write sheets and key; killed, the next call continues, and a finished
    questionnaire is left alone.

    Args:
        progress: called with (texts generated, all).

    Returns:
        The number of sheets.

    Raises:
        PlanError, CorpusError: too few opening sentences, or no such file; a model that finishes
            none of its own within `length`.
        CheckpointError, SamplingError: a model, or what is asked of it.
        ArtifactError: `out` holds another questionnaire, or cannot be written.
    """
    for name in settings.models:
        model_folder(name)  # before minutes of work on the others
    slots = _slots(settings, _openings(settings))
    asked = asdict(settings) | {
        "sentences_sha256": words_digest("\n".join(one.sentence for one in slots))
    }
    with disk_errors(out), locked(out):
        if (out / KEY).is_file():
            if read_key(out)["settings"] != {**asked, "models": list(settings.models)}:
                raise ArtifactError(
                    f"{out}: holds a questionnaire of other settings; choose another folder for a"
                    " new one"
                )
            return settings.sheets
        start_ledger(out, KIND, of=digest([json.dumps(asked, sort_keys=True)]))
        for place in (
            out / KEY,
            *chain(*(_sheet_files(settings, out, 1 + i) for i in range(settings.sheets))),
        ):
            check_replaceable(place)
        texts = _generated(settings, slots, out, progress)
        _write(settings, slots, texts, asked, out)
    return settings.sheets


def _openings(settings: SurveySettings) -> list[str]:
    """As many different sentences as the sheets need, in random order."""
    groups = -(-settings.sheets // len(settings.models))
    wanted = groups * settings.texts
    found = (
        list(dict.fromkeys(map(one_line, read_prompts(settings.sentences))))
        if settings.sentences
        else _messages()
    )
    if len(found) < wanted:
        where = settings.sentences or "the embedded corpus"
        raise PlanError(
            f"survey: {where} holds {len(found)} different sentences, {wanted} are needed; lower"
            " --sheets or --each"
        )
    return random.Random(derive(settings.seed, "survey", "sentences")).sample(found, wanted)


def _messages() -> list[str]:
    """First sentences of paragraphs of the embedded corpus's test documents."""
    documents = [one for one in split_documents(CorpusSettings()) if one.split == "test"]
    paragraphs = [one_line(part) for one in documents for part in PARAGRAPH_END.split(one.text)]
    first = [text[slice(*next(sentence_spans(text)))] for text in paragraphs if text]
    return list(
        dict.fromkeys(one for one in first if len(one.split()) in WORDS and one.endswith(FINISHED))
    )


def _slots(settings: SurveySettings, openings: Sequence[str]) -> list[_Slot]:
    slots = []
    for sheet in range(settings.sheets):
        group, turn = divmod(sheet, len(settings.models))
        here = openings[group * settings.texts : (group + 1) * settings.texts]
        slots += [
            _Slot(sheet + 1, settings.models[(i + turn) % len(settings.models)], one)
            for i, one in enumerate(here)
        ]
    return slots


def _generated(
    settings: SurveySettings, slots: Sequence[_Slot], out: Path, progress: Progress
) -> dict[_Slot, _Shown]:
    """Slot → its text; drawn again, up to TRIES times, where the model did not finish enough of its
    own.

    Raises:
        PlanError: texts that are too short after all tries.
    """
    shown: dict[_Slot, _Shown] = {}
    for model in settings.models:
        waiting = [one for one in slots if one.model == model]
        for number in range(1, TRIES + 1):
            moved = shifted(progress, len(shown), len(slots))
            added = _continued(
                settings, model, [one.sentence for one in waiting], number, out, moved
            )
            drawn = {
                one: _Shown(finished(one.sentence, text), number)
                for one, text in zip(waiting, added, strict=True)
            }
            shown |= {
                one: text
                for one, text in drawn.items()
                if own_words(one.sentence, text.text) >= OWN_WORDS
            }
            waiting = [one for one in waiting if one not in shown]
            if not waiting:
                break
        else:
            raise PlanError(
                f"survey: in {TRIES} tries {model} finished no sentence with {OWN_WORDS} words of"
                f" its own after {waiting[0].sentence!r} ({counted(len(waiting), 'such text')});"
                f" raise --length, now {settings.length} tokens"
            )
    progress(len(slots), len(slots))
    return shown


def _continued(
    settings: SurveySettings,
    model: str,
    sentences: Sequence[str],
    number: int,
    out: Path,
    progress: Progress,
) -> list[str]:
    """What the model adds to each sentence, at its so-many-th try."""
    again = [] if number == 1 else [f"try {number}"]
    wanted = SampleSettings(
        model=model,
        method=method(settings.method),
        count=len(sentences),
        length=settings.length,
        seed=derive(settings.seed, "survey", model, *again),
        prompts=tuple(sentences),
        batch=settings.batch,
        precision=settings.precision,
        device=settings.device,
    )
    folder = out / "samples" / f"{folder_name(model)}{'' if number == 1 else f'~{number}'}"
    keep_folder(folder, wanted, progress=progress)
    return [row["text"] for row in read_samples(folder / FILE)]


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


def _write(
    settings: SurveySettings,
    slots: Sequence[_Slot],
    texts: dict[_Slot, _Shown],
    asked: dict[str, Any],
    out: Path,
) -> None:
    (out / "sheets").mkdir(exist_ok=True)
    key: list[dict[str, Any]] = []
    for sheet in range(1, settings.sheets + 1):
        shown = [one for one in slots if one.sheet == sheet]
        random.Random(derive(settings.seed, "survey", "order", str(sheet))).shuffle(shown)
        rows = [(sheet, row, texts[one].text, "", "", "", "") for row, one in enumerate(shown, 1)]
        table, page = _sheet_files(settings, out, sheet)
        write_sheet_file(table, HEADER, rows)
        write_atomic(page, sheet_page(sheet, [texts[one].text for one in shown], SCALES).encode())
        key += [
            {"sheet": sheet, "row": row} | _known(one, texts[one])
            for row, one in enumerate(shown, 1)
        ]
    write_json(out / KEY, {"settings": asked, "rows": key, "own_words_at_least": OWN_WORDS})


def _known(slot: _Slot, shown: _Shown) -> dict[str, Any]:
    """What the key says of a text: whose it is, what of it a person wrote, and how often it was
    drawn.
    """
    facts = {
        "model": slot.model,
        "sentence": slot.sentence,
        "own_words": own_words(slot.sentence, shown.text),
    }
    return facts | {"tries": shown.tries, "text_sha256": words_digest(shown.text)}


def _sheet_files(settings: SurveySettings, out: Path, sheet: int) -> tuple[Path, Path]:
    """A sheet as a table and as a page for print."""
    name = f"sheet-{sheet:0{len(str(settings.sheets))}d}"
    return out / "sheets" / f"{name}.csv", out / "sheets" / f"{name}.html"
