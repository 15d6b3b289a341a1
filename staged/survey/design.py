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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from staged.errors import ArtifactError, PlanError
from staged.files.sheets import words_digest, write_sheet_file
from staged.model.sources.releases import folder_name
from staged.model.sources.served import model_identity, parse_served
from staged.pages.figures import counted
from staged.progress import Progress, shifted, silent
from staged.samples.dataset import SampleSettings, read_samples
from staged.samples.methods import method
from staged.samples.sample_stage import FILE, check_at_hand, keep_folder
from staged.samples.writers.contract import COMPUTING, precision_and_device
from staged.storage.digests import digest
from staged.storage.gate import check_replaceable, start_ledger
from staged.storage.records import to_json, write_record
from staged.storage.writing import disk_errors, locked, write_atomic
from staged.streams import derive
from staged.survey.page import sheet_page
from staged.survey.plan import HEADER, KIND, OWN_WORDS, SCALES, SurveySettings
from staged.survey.results import KEY, Asked, Key, KeyRow, read_key
from staged.survey.texts import finished, opening_sentences, own_words

__all__ = ["make_survey"]

TRIES = 8  # draws of a text until it has them


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
        check_at_hand(name)
    slots = _slots(settings, opening_sentences(settings))
    sentences = words_digest("\n".join(slot.sentence for slot in slots))
    asked = Asked(**asdict(settings), sentences_sha256=sentences)
    with disk_errors(out), locked(out):
        if (out / KEY).is_file():
            if _deciding(read_key(out).settings) != _deciding(asked):
                raise ArtifactError(
                    f"{out}: holds a questionnaire of other settings; choose another folder for a"
                    " new one"
                )
            return settings.sheets
        start_ledger(out, KIND, of=digest([json.dumps(_deciding(asked), sort_keys=True)]))
        for place in (
            out / KEY,
            *chain(*(_sheet_files(settings, out, 1 + i) for i in range(settings.sheets))),
        ):
            check_replaceable(place)
        texts = _generated(settings, slots, out, progress)
        _write(settings, slots, texts, asked, out)
    return settings.sheets


def _deciding(asked: Asked) -> dict[str, Any]:
    """What of a questionnaire's settings decides its texts, in JSON values; see
    `SampleSettings.deciding`.
    """
    fixed = dict.fromkeys(COMPUTING, "") if all(map(parse_served, asked.models)) else {}
    return to_json(asked) | fixed | {"models": list(map(model_identity, asked.models))}


def _slots(settings: SurveySettings, openings: Sequence[str]) -> list[_Slot]:
    slots = []
    for sheet in range(settings.sheets):
        group, turn = divmod(sheet, len(settings.models))
        sentences = openings[group * settings.texts : (group + 1) * settings.texts]
        slots += [
            _Slot(sheet + 1, settings.models[(i + turn) % len(settings.models)], sentence)
            for i, sentence in enumerate(sentences)
        ]
    return slots


def _generated(
    settings: SurveySettings, slots: Sequence[_Slot], out: Path, progress: Progress
) -> dict[_Slot, _Shown]:
    """Slot → its text; drawn again, up to TRIES times, where the model finished too little itself.

    Raises:
        PlanError: texts that are too short after all tries.
    """
    shown: dict[_Slot, _Shown] = {}
    for model in settings.models:
        waiting = [slot for slot in slots if slot.model == model]
        for number in range(1, TRIES + 1):
            moved = shifted(progress, len(shown), len(slots))
            added = _continued(
                settings, model, [slot.sentence for slot in waiting], number, out, moved
            )
            drawn = {
                slot: _Shown(finished(slot.sentence, text), number)
                for slot, text in zip(waiting, added, strict=True)
            }
            shown |= {
                slot: text
                for slot, text in drawn.items()
                if own_words(slot.sentence, text.text) >= OWN_WORDS
            }
            waiting = [slot for slot in waiting if slot not in shown]
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
    precision, device = precision_and_device(model, settings.precision, settings.device)
    again = [] if number == 1 else [f"try {number}"]
    wanted = SampleSettings(
        model=model,
        method=method(settings.method),
        count=len(sentences),
        length=settings.length,
        seed=derive(settings.seed, "survey", model_identity(model), *again),
        prompts=tuple(sentences),
        batch=settings.batch,
        precision=precision,
        device=device,
    )
    name = folder_name(model_identity(model))
    folder = out / "samples" / f"{name}{'' if number == 1 else f'~{number}'}"
    keep_folder(folder, wanted, progress=progress)
    return [row["text"] for row in read_samples(folder / FILE)]


def _write(
    settings: SurveySettings,
    slots: Sequence[_Slot],
    texts: dict[_Slot, _Shown],
    asked: Asked,
    out: Path,
) -> None:
    (out / "sheets").mkdir(exist_ok=True)
    key: list[KeyRow] = []
    for sheet in range(1, settings.sheets + 1):
        shown = [slot for slot in slots if slot.sheet == sheet]
        random.Random(derive(settings.seed, "survey", "order", str(sheet))).shuffle(shown)
        rows = [(sheet, row, texts[slot].text, "", "", "", "") for row, slot in enumerate(shown, 1)]
        table, page = _sheet_files(settings, out, sheet)
        write_sheet_file(table, HEADER, rows)
        write_atomic(page, sheet_page(sheet, [texts[slot].text for slot in shown], SCALES).encode())
        key += [_key_row(row, slot, texts[slot]) for row, slot in enumerate(shown, 1)]
    write_record(out / KEY, Key(asked, tuple(key), OWN_WORDS))


def _key_row(row: int, slot: _Slot, shown: _Shown) -> KeyRow:
    return KeyRow(
        slot.sheet,
        row,
        words_digest(shown.text),
        slot.model,
        slot.sentence,
        own_words(slot.sentence, shown.text),
        shown.tries,
    )


def _sheet_files(settings: SurveySettings, out: Path, sheet: int) -> tuple[Path, Path]:
    """A sheet as a table and as a page for print."""
    name = f"sheet-{sheet:0{len(str(settings.sheets))}d}"
    return out / "sheets" / f"{name}.csv", out / "sheets" / f"{name}.html"
