"""A blinded questionnaire: models continue sentences of people, and people rate the texts without knowing whose they are.

One sheet is for one person. Every sheet holds as many texts of each model, and no opening sentence twice. Sheets stand in groups as
large as there are models: a group shares its sentences, and from sheet to sheet each passes to the next model (a Latin square), so
that in whole groups every model continues every sentence. No text stands on two sheets: a sheet's ratings depend on each other only
through the person who gave them, and the person is what the intervals resample.

DIR/sheets/sheet-01.csv, .html    to hand out: for a spreadsheet, and for print
DIR/key.json                      whose text each row is; written last, and kept from those who rate
DIR/samples/<model>/              the continuations, in staged sample's rows

Source: the credibility study of GPT-2's staged release (Solaiman et al. 2019): stories from first sentences, rated believable,
accurate and clear.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from staged.artifacts import disk_errors, locked, write_json
from staged.corpus.build import CorpusSettings, split_documents
from staged.corpus.passages import PARAGRAPH_END, sentence_spans
from staged.errors import ArtifactError, PlanError
from staged.files.sheets import not_a_key, one_line, read_key_file, words_digest, write_sheet_file
from staged.model.checkpoints import model_folder
from staged.model.names import folder_name
from staged.progress import Progress, shifted, silent
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.kept import FILE, keep_folder
from staged.samples.methods import method
from staged.samples.prompts import read_prompts
from staged.samples.streams import derive
from staged.settings import LARGEST
from staged.survey.page import sheet_page

__all__ = ["HEADER", "KEY", "OF", "SCALES", "SurveySettings", "make_survey"]

SCALES = ("believable", "accurate", "clear")
HEADER = ("sheet", "row", "text", *SCALES, "remarks")
KEY, OF = "key.json", "staged survey"
WORDS = range(8, 41)  # of an opening sentence: enough to set a theme, and room for the model in a small context
FINISHED = (".", "!", "?", '."', '!"', '?"', ".”", "!”", "?”")


@dataclass(frozen=True)
class SurveySettings:
    """What is asked, and of how many people.

    Attributes:
        models: whose texts, smallest first.
        sheets: people who will answer.
        each: texts of each model on a sheet.
        length: tokens that a model adds at most; its text ends with the last sentence that it finished.
        method: how tokens are drawn, by name.
        sentences: file of opening sentences, one a line; empty takes them from presidential messages that no shipped model and
            no detector learned from.
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
                raise PlanError(f"survey: {name} is given twice; a comparison needs two different models")
        for name, least in (("sheets", 2), ("each", 1), ("length", 1), ("batch", 1)):
            if not least <= getattr(self, name) <= LARGEST:
                raise PlanError(f"survey: {name} must be at least {least} and at most {LARGEST:,}, not {getattr(self, name)}")

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


def read_key(folder: Path) -> dict[str, Any]:
    """A questionnaire's settings, and whose text each row is.

    Raises:
        ArtifactError: missing or damaged.
    """
    key = read_key_file(folder / KEY, of=OF)
    try:
        models, _, rows = set(key["settings"]["models"]), int(key["settings"]["seed"]), key["rows"]
        whole = bool(rows) and all(one["model"] in models and {"sheet", "row", "text_sha256"} <= one.keys() for one in rows)
    except (AttributeError, KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise not_a_key(folder / KEY, of=OF)
    return dict(key)


def make_survey(settings: SurveySettings, out: Path, progress: Progress = silent) -> int:
    """Generate the texts and write sheets and key; killed, the next call continues, and a finished questionnaire is left alone.

    Args:
        progress: called with (texts generated, all).

    Returns:
        The number of sheets.

    Raises:
        PlanError, CorpusError: too few opening sentences, or no such file.
        CheckpointError, SamplingError: a model, or what is asked of it.
        ArtifactError: `out` holds another questionnaire, or cannot be written.
    """
    for name in settings.models:
        model_folder(name)  # before minutes of work on the others
    slots = _slots(settings, _openings(settings))
    asked = asdict(settings) | {"sentences_sha256": words_digest("\n".join(one.sentence for one in slots))}
    with disk_errors(out), locked(out):
        if (out / KEY).is_file():
            if read_key(out)["settings"] != {**asked, "models": list(settings.models)}:
                raise ArtifactError(f"{out}: holds a questionnaire of other settings; choose another folder for a new one")
            return settings.sheets
        texts = _generated(settings, slots, out, progress)
        _write(settings, slots, texts, asked, out)
    return settings.sheets


def _openings(settings: SurveySettings) -> list[str]:
    """As many different sentences as the sheets need, in random order."""
    groups = -(-settings.sheets // len(settings.models))
    wanted = groups * settings.texts
    found = list(dict.fromkeys(map(one_line, read_prompts(settings.sentences)))) if settings.sentences else _messages()
    if len(found) < wanted:
        where = settings.sentences or "the embedded corpus"
        raise PlanError(f"survey: {where} holds {len(found)} different sentences, {wanted} are needed; lower --sheets or --each")
    return random.Random(derive(settings.seed, "survey", "sentences")).sample(found, wanted)


def _messages() -> list[str]:
    """First sentences of paragraphs of the embedded corpus's test documents."""
    documents = [one for one in split_documents(CorpusSettings()) if one.split == "test"]
    paragraphs = [one_line(part) for one in documents for part in PARAGRAPH_END.split(one.text)]
    first = [text[slice(*next(sentence_spans(text)))] for text in paragraphs if text]
    return list(dict.fromkeys(one for one in first if len(one.split()) in WORDS and one.endswith(FINISHED)))


def _slots(settings: SurveySettings, openings: Sequence[str]) -> list[_Slot]:
    slots = []
    for sheet in range(settings.sheets):
        group, turn = divmod(sheet, len(settings.models))
        here = openings[group * settings.texts : (group + 1) * settings.texts]
        slots += [_Slot(sheet + 1, settings.models[(i + turn) % len(settings.models)], one) for i, one in enumerate(here)]
    return slots


def _generated(settings: SurveySettings, slots: Sequence[_Slot], out: Path, progress: Progress) -> dict[_Slot, str]:
    """Slot → the whole text: the sentence and what the model adds."""
    texts: dict[_Slot, str] = {}
    for model in settings.models:
        mine = [one for one in slots if one.model == model]
        wanted = SampleSettings(
            model=model,
            method=method(settings.method),
            count=len(mine),
            length=settings.length,
            seed=derive(settings.seed, "survey", model),
            prompts=tuple(one.sentence for one in mine),
            batch=settings.batch,
            precision=settings.precision,
            device=settings.device,
        )
        folder = out / "samples" / folder_name(model)
        keep_folder(folder, wanted, progress=shifted(progress, len(texts), len(slots)))
        rows = read_samples(folder / FILE)
        texts |= {one: _text(one.sentence, row["text"]) for one, row in zip(mine, rows, strict=True)}
    progress(len(slots), len(slots))
    return texts


def _text(sentence: str, added: str) -> str:
    """In one line, up to the last sentence that was finished; where the model finished none, as it is."""
    text = one_line(sentence + added)
    spans = list(sentence_spans(text))
    cut = len(spans) > 2 and not text.endswith(FINISHED)
    return text[: spans[-2][1]] if cut else text


def _write(settings: SurveySettings, slots: Sequence[_Slot], texts: dict[_Slot, str], asked: dict[str, Any], out: Path) -> None:
    folder = out / "sheets"
    folder.mkdir(exist_ok=True)
    key: list[dict[str, Any]] = []
    digits = len(str(settings.sheets))
    for sheet in range(1, settings.sheets + 1):
        shown = [one for one in slots if one.sheet == sheet]
        random.Random(derive(settings.seed, "survey", "order", str(sheet))).shuffle(shown)
        rows = [(sheet, row, texts[one], "", "", "", "") for row, one in enumerate(shown, 1)]
        write_sheet_file(folder / f"sheet-{sheet:0{digits}d}.csv", HEADER, rows)
        page = sheet_page(sheet, [texts[one] for one in shown], SCALES)
        (folder / f"sheet-{sheet:0{digits}d}.html").write_text(page, encoding="utf-8")
        key += [
            {"sheet": sheet, "row": row, "model": one.model, "sentence": one.sentence, "text_sha256": words_digest(texts[one])}
            for row, one in enumerate(shown, 1)
        ]
    write_json(out / KEY, {"settings": asked, "rows": key})
