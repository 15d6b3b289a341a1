"""The library's entry points, one after the other in a process of its own: what each, or a library
below it, writes to a stream.

    python -m tests.entries FOLDER MODEL ENCODER HUMAN

FOLDER receives results.json: entry → what stood on standard output and standard error, as the file
descriptors saw it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from transformers.utils import logging

from staged.detectors.names import parse_name
from staged.model.bpe import load_bpe
from staged.model.sources.packaged import quiet
from tests.model.llamas import write_llama

Entries = dict[str, Callable[[], object]]


def entries(folder: Path, model: str, encoder: str, human: str) -> Entries:
    """Name → what to call."""

    def sampled() -> None:
        from staged.samples.dataset import SampleSettings, write_samples
        from staged.samples.methods import method

        for name in (model, llama):
            settings = SampleSettings(model=name, method=method("nucleus"), count=3, length=5)
            write_samples(folder / f"{Path(name).name}.parquet", settings)

    def trained() -> None:
        from staged.corpus.build import CorpusSettings
        from staged.model.training.plan import FINE_TUNING, TrainSettings
        from staged.model.training.train import train

        shares = {"pretrain": 0.9, "valid": 0.1}
        corpus = CorpusSettings(human, budget_tokens=60, minimum_tokens=20, shares=shares)
        train(
            folder / "tuned",
            replace(
                FINE_TUNING,
                init=model,
                corpus=corpus,
                steps=2,
                batch=4,
                micro_batch=4,
                warmup_steps=1,
            ),
        )
        shape = {
            "objective": "masked",
            "tokenizer": model,
            "n_ctx": 64,
            "n_embd": 32,
            "n_head": 2,
            "n_layer": 1,
        }
        train(
            folder / "encoder",
            TrainSettings(**shape, corpus=corpus, steps=2, batch=4, micro_batch=4, warmup_steps=1),
        )

    def scored() -> None:
        from staged.detectors.catalog import open_detector

        for name in (
            f"likelihood@{model}",
            f"fast-detectgpt@{llama}",
            str(folder / "tfidf"),
            str(folder / "roberta"),
        ):
            open_detector(name, device="cpu").score(["The river keeps the bridge.", ""])

    def classifiers() -> None:
        from staged.progress import silent
        from staged.records import HUMAN, MACHINE, Document
        from staged.studies.stages import train_detector
        from staged.training.roberta import RobertaSettings

        texts = [
            Document(
                str(i),
                f"The {'river' if i % 2 else 'engine'} {i}.",
                (HUMAN, MACHINE)[i % 2],
                str(i),
            )
            for i in range(12)
        ]
        # an encoder gets a new head, of which transformers likes to speak
        kinds = {"tfidf": None, "roberta": RobertaSettings(base=encoder, epochs=1)}
        for kind, roberta in kinds.items():
            (folder / kind).mkdir()
            train_detector(texts, texts, folder / kind, roberta=roberta, progress=silent)

    def evaluated() -> None:
        from staged.raid.evaluate import evaluate_raid
        from staged.raid.settings import RaidSettings

        rows = [{"text": f"The river crosses {i} bridges.", "label": i % 2} for i in range(40)]
        (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        evaluate_raid(
            folder / "mine.jsonl",
            RaidSettings(),
            detector=f"likelihood@{model}",
            out=folder / "raid",
            device="cpu",
        )

    def calibrated() -> None:
        from staged.detectors.calibration.fit import calibrate
        from staged.detectors.catalog import open_detector
        from staged.detectors.identity import known_by, scored_by
        from staged.detectors.opening import open_examiner
        from staged.model.reading.evaluate import read_documents

        name, out = f"likelihood@{model}", folder / "calibration.json"
        parsed = parse_name(name)
        detector, identity = open_detector(name, device="cpu"), scored_by(parsed, "cpu")
        known = known_by(parsed)
        calibrate(
            out,
            name,
            lambda: detector,
            read_documents(human),
            fpr=0.1,
            identity=identity,
            edges_words=(5,),
            known_by=known,
        )
        open_examiner(name, calibration=out, device="cpu").examine(
            [("a", "The river keeps the bridge by the old mill. " * 20)]
        )

    def converted() -> None:
        from staged.model.convert import convert

        convert(model, folder / "hub")
        convert(model, folder / "model.gguf")

    def opened() -> None:
        from staged.files.texts import read_text

        for name in ("essay.docx", "essay.pdf"):
            if (folder / name).is_file():
                read_text(folder / name)

    def language_model() -> None:
        from staged.model.reading.evaluate import evaluate

        evaluate(model, str(next(Path(human).iterdir())))

    def loaded() -> None:
        from staged.model.causal import load_causal

        for name in (model, llama, "mini-s"):
            load_causal(name)

    with quiet():  # these bars are of the tests' own
        llama = str(write_llama(folder / "llama", load_bpe(Path(model))))
    logging.enable_progress_bar()
    return {
        one.__name__: one
        for one in (
            loaded,
            sampled,
            trained,
            classifiers,
            scored,
            evaluated,
            calibrated,
            converted,
            opened,
            language_model,
        )
    }


def written_by(call: Callable[[], object]) -> str:
    """What reaches file descriptors 1 and 2 while something is called, an error of its own
    included.
    """
    kept = [os.dup(number) for number in (1, 2)]
    with tempfile.TemporaryFile() as file:
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        try:
            call()
        except Exception as error:
            os.write(1, f"{type(error).__name__}: {error}".encode())
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, old in zip((1, 2), kept, strict=True):
                os.dup2(old, number)
                os.close(old)
        file.seek(0)
        return file.read().decode(errors="replace")


def main() -> None:
    folder, *rest = sys.argv[1:]
    found = {name: written_by(call) for name, call in entries(Path(folder), *rest).items()}
    (Path(folder) / "results.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
