"""The command that generates text: sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from staged.commands.options.engines import (
    AddressOption,
    EngineOption,
    ShardOption,
    WorkersOption,
    engine_of,
)
from staged.commands.options.shared import (
    MODELS,
    SERVED,
    DeviceOption,
    RequestsOption,
    ThreadsOption,
)
from staged.errors import PlanError
from staged.pages.figures import counted
from staged.screen import count_progress, errors, say

if TYPE_CHECKING:
    from staged.samples.methods import Method

WriterArgument = Annotated[str, typer.Argument(help=f"{MODELS}; {SERVED}.")]
MethodOption = Annotated[
    str | None,
    typer.Option(
        help=(
            "temperature-1 (the default), top-k-40, nucleus, greedy, or parts such as"
            " temperature-0.7+top-p-0.9."
        )
    ),
]
NumberOption = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--number",
        help="How many samples in all, prompts taken in turn; by default 1, or one a prompt.",
    ),
]
PerPromptOption = Annotated[
    int | None,
    typer.Option(help="In place of --number: so many samples of each prompt, standing together."),
]
LengthOption = Annotated[int, typer.Option(help="New tokens at most.")]
SeedOption = Annotated[int, typer.Option(help="Sample i depends on the seed and i.")]
TemperatureOption = Annotated[
    float | None, typer.Option(help="In place of --method: divide the logits by this; 0 is greedy.")
]
TopKOption = Annotated[
    int | None, typer.Option(help="In place of --method: keep the k most likely tokens.")
]
TopPOption = Annotated[
    float | None, typer.Option(help="In place of --method: keep the smallest set with this mass.")
]
SemanticsOption = Annotated[
    str,
    typer.Option(
        help=(
            "standard: the nucleus keeps the token that crosses p; released: it drops it, as the"
            " code released with GPT-2. By default as the method's name says, else standard."
        )
    ),
]
RepetitionPenaltyOption = Annotated[
    float,
    typer.Option(
        help=(
            "Above 1, tokens of the prompt and of the sample become less likely (CTRL's form); 1 is"
            " off."
        )
    ),
]
StopOption = Annotated[
    list[str] | None,
    typer.Option(help="End a sample at this text, and cut it before; may be given several times."),
]
LogprobsOption = Annotated[
    bool,
    typer.Option(
        "--logprobs",
        help=(
            "Rows also hold tokens and their log-probabilities; without --out, rows are printed as"
            " JSON."
        ),
    ),
]
ContextOption = Annotated[
    str,
    typer.Option(
        help=(
            "Where a text outgrows the context: refuse it beforehand, stop there, or slide (go on"
            " without the older half)."
        )
    ),
]
PromptOption = Annotated[str, typer.Option(help="Text to continue.")]
PromptsOption = Annotated[
    str,
    typer.Option(
        help=(
            'File with one prompt a line, or rows with "prompt" or "text" if .jsonl; - reads them'
            " from standard input."
        )
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        help=(
            "File to write, .jsonl or .parquet, also at a URL such as s3://BUCKET/NAME; by default"
            " texts are printed, a single one while it is made."
        )
    ),
]
BatchOption = Annotated[int, typer.Option(help="Samples computed at once.")]
PrecisionOption = Annotated[
    str,
    typer.Option(help="fp32 (exact), bf16 or int8; by default bf16 where the processor has it."),
]
DraftOption = Annotated[
    str,
    typer.Option(
        help=(
            "A smaller model with the same tokenizer that guesses ahead; the distribution stays the"
            " same."
        )
    ),
]

ChatOption = Annotated[
    bool,
    typer.Option(
        "--chat",
        help="Prompts are tasks, put into the model's own chat template; its answers are written.",
    ),
]
SystemOption = Annotated[
    str, typer.Option(help="With --chat: a system text that stands before each task.")
]
WatermarkOption = Annotated[
    str,
    typer.Option(
        help=(
            "Mark what is drawn, so that whoever has the key can tell: gumbel, gumbel-dual, kgw,"
            " sbw or synthid."
        )
    ),
]
KeyOption = Annotated[
    str, typer.Option(help="With --watermark: the id of the key, as staged keys list shows it.")
]


def sample(
    model: WriterArgument,
    method: MethodOption = None,
    number: NumberOption = None,
    per_prompt: PerPromptOption = None,
    length: LengthOption = 128,
    seed: SeedOption = 1,
    temperature: TemperatureOption = None,
    top_k: TopKOption = None,
    top_p: TopPOption = None,
    semantics: SemanticsOption = "",
    repetition_penalty: RepetitionPenaltyOption = 1.0,
    stop: StopOption = None,
    logprobs: LogprobsOption = False,
    context: ContextOption = "refuse",
    prompt: PromptOption = "",
    prompts: PromptsOption = "",
    out: OutOption = None,
    batch: BatchOption = 128,
    precision: PrecisionOption = "",
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    engine: EngineOption = "",
    address: AddressOption = "",
    workers: WorkersOption = None,
    shard: ShardOption = "",
    draft: DraftOption = "",
    requests_per_minute: RequestsOption = 0,
    chat: ChatOption = False,
    system: SystemOption = "",
    watermark: WatermarkOption = "",
    key: KeyOption = "",
) -> None:
    """Generate text. With --out, killed at any moment and started again, it ends with
    the same bytes.
    """
    from staged.files.places import refuse_to_replace
    from staged.places.mirror import place
    from staged.samples.dataset import SampleSettings, read_samples, write_samples
    from staged.samples.prompts import chosen_prompts, how_many

    computing = engine_of(engine, address, workers, shard, device=device)
    out = place(out) if out else None
    refuse_to_replace(out, prompts)
    texts = chosen_prompts(prompt, prompts)
    settings = SampleSettings(
        model=model,
        method=chosen_method(method, temperature, top_k, top_p, semantics),
        count=how_many(number, per_prompt, texts),
        length=length,
        seed=seed,
        prompts=texts,
        per_prompt=1 if per_prompt is None else per_prompt,
        batch=batch,
        precision=precision,
        draft=draft,
        stop=tuple(stop or ()),
        repetition_penalty=repetition_penalty,
        logprobs=logprobs,
        context=context,
        device=device,
        chat=chat,
        system=system,
        watermark=watermark,
        key=key,
    )
    if out is None:
        if engine or workers is not None or shard:
            raise PlanError("sample: workers keep what they write; give --out FILE")
        _print_samples(settings)
        return
    with count_progress("samples") as progress:
        path = write_samples(out, settings, engine=computing, progress=progress)
    say(f"{counted(settings.count, 'sample')} ({path}): {out}")
    if chat:
        say(_refusals([row["refused"] for row in read_samples(out)]))


def _print_samples(settings: Any) -> None:
    """Samples on standard output: JSON rows with log-probabilities, one text as it is made, or
    several under headings; of a chat the answers.
    """
    from staged.samples.dataset import sample, speak

    if settings.logprobs:
        for row in sample(settings):
            typer.echo(json.dumps(row, ensure_ascii=False))
    elif settings.count == 1:
        try:
            row = speak(settings, lambda text: typer.echo(text, nl=False))
        except KeyboardInterrupt:
            typer.echo()  # so that whole lines are left
            raise
        typer.echo()
        errors.print(f"──── {_ending(row)}", style="dim", highlight=False, markup=False)
    else:
        for row in sample(settings):
            typer.secho(f"──── sample {row['id']} · {_ending(row)}", dim=True)
            typer.echo(row["text"] if settings.chat else row["prompt"] + row["text"])


def _refusals(refused: Sequence[bool]) -> str:
    """How many answers are refusals, and where that stands."""
    number = sum(refused)
    if not number:
        return f"none of {counted(len(refused), 'answer')} is a refusal (column refused)"
    are, stay = ("is a refusal", "it stays") if number == 1 else ("are refusals", "they stay")
    return (
        f"{number} of {counted(len(refused), 'answer')} {are}: {stay} in the file, column refused"
    )


def _ending(row: dict[str, Any]) -> str:
    """How a sample came to its end, for a heading."""
    why = {  # a server can have a word of its own
        "end": "end of text",
        "length": "length reached",
        "stop": f"stop {row['stopped']!r}",
        "context": "end of the context",
    }
    moved = f" · window moved {row['slides']} times" if row["slides"] else ""
    refused = " · a refusal" if row.get("refused") else ""
    length = "" if row["length"] is None else f"{counted(row['length'], 'token')} · "
    return f"{length}{why.get(row['reason'], row['reason'])}{moved}{refused}"


def chosen_method(
    name: str | None,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    semantics: str,
) -> Method:
    """By name or by numbers, by default temperature 1; the semantics outweigh the name's, empty
    ones are as it says.

    Raises:
        PlanError: a name and a number.
        SamplingError: no such method, or a number out of range.
    """
    from staged.samples.methods import from_numbers, method, under

    numbers = (temperature, top_k, top_p)
    if name and numbers != (None, None, None):
        raise PlanError(
            "sample: give --method or the numbers --temperature, --top-k, --top-p, not both"
        )
    chosen = (
        method(name or "temperature-1") if numbers == (None, None, None) else from_numbers(*numbers)
    )
    return under(chosen, semantics) if semantics else chosen
