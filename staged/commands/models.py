"""Commands of a model as it is: convert, evaluate-lm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer

from staged.commands.options import MODELS, DeviceOption, LiteralOption, ThreadsOption
from staged.screen import count_progress, print_table, say


def convert(
    src: Annotated[str, typer.Argument(help="A model folder in any published layout, 124M … 1558M, openai:124M, or a hub name.")],
    dst: Annotated[Path, typer.Argument(help="A new folder in the hub's layout, or a file ending in .gguf.")],
    dtype: Annotated[str, typer.Option(help="float32, bfloat16 or float16; a .gguf also q8_0; keep takes the source's.")] = "keep",
    offline: Annotated[bool, typer.Option("--offline", help="Ask nothing of the network; say what is missing.")] = False,
) -> None:
    """Write a model in another format, tensor by tensor: TensorFlow, safetensors or pickles to safetensors or GGUF."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"
    from staged.model.convert import convert as convert_model

    with count_progress("tensors") as progress:
        worked = convert_model(src, dst, dtype=dtype, progress=progress)
    say(f"{dst}: {'written' if worked else 'already there, nothing to do'}")


def evaluate_lm(
    model: Annotated[str, typer.Argument(help=f"{MODELS}.")],
    file: Annotated[
        str,
        typer.Argument(
            help="Text: a file or folder of a kind that docs/formats.md lists, such as .txt or .jsonl, or - for standard input."
        ),
    ],
    stride: Annotated[int | None, typer.Option(help="Tokens from one window to the next; by default half the context.")] = None,
    batch: Annotated[int, typer.Option(help="Full windows computed at once.")] = 8,
    precision: Annotated[str, typer.Option(help="fp32, or bf16 where speed matters more than the last digits.")] = "fp32",
    literal: LiteralOption = False,
    device: DeviceOption = "auto",
    threads: ThreadsOption = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")] = False,
    out: Annotated[Path | None, typer.Option(help="A .json file that receives the object; a killed run then continues.")] = None,
) -> None:
    """What a text costs a language model: nats and bits per token, byte and word, beside the paper's table."""
    from staged.files.places import refuse_to_replace
    from staged.model.evaluate import evaluate
    from staged.samples.decoders import chosen_device

    refuse_to_replace(out, file)
    device = chosen_device(device)
    with count_progress("tokens") as progress:
        result = evaluate(
            model,
            file,
            stride=stride,
            batch=batch,
            precision=precision,
            device=device,
            literal=bool(literal),
            out=out,
            progress=progress,
        )
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=1, ensure_ascii=False, allow_nan=False))
    else:
        _print_evaluation(result)


def _print_evaluation(result: Any) -> None:
    """This text's figures, how its interval was made, and what the paper published."""
    from staged.model.published import PUBLISHED, PUBLISHED_NOTE, PUBLISHED_SIZES

    rows = [
        (f"per {unit}", f"{one['count']:,}", f"{one['nats']:.4f}", f"{one['bits']:.4f}", _perplexity(one["perplexity"]))
        for unit, one in result.rates().items()
    ]
    print_table(f"{result.model} on {result.file}", ("", "count", "nats", "bits", "perplexity"), rows)
    facts = (
        f"sliding window of {result.n_ctx} tokens, stride {result.stride}; {result.precision}; documents: {result.documents:,}, "
        "each scored by itself after <|endoftext|>; words are separated by white space"
    )
    say(facts)
    say(f"95% interval of bits per byte: {_bits_interval(result.interval)}")
    if result.documents_learned_from:
        seen = f"the model was trained on {result.documents_learned_from:,} of these documents: this says little about new text"
        say(seen, style="bold")
    say("")
    published = [(name, *(f"{value:g}" for value in values)) for name, values in PUBLISHED.items()]
    print_table("GPT-2 as published", ("", *PUBLISHED_SIZES), published)
    say(PUBLISHED_NOTE)


def _perplexity(value: float | None) -> str:
    return "too large" if value is None else f"{value:,.2f}" if value < 1e6 else f"{value:.3g}"


def _bits_interval(interval: Any) -> str:
    if interval is None:
        from staged.model.bits_interval import BLOCK_TOKENS_AT_LEAST, UNITS_AT_LEAST

        enough = f"{UNITS_AT_LEAST} documents of similar length, or {UNITS_AT_LEAST * BLOCK_TOKENS_AT_LEAST:,} tokens"
        return f"none; the text is too short for one (it takes {enough})"
    what = "documents" if interval.unit == "documents" else "blocks of consecutive tokens"
    return f"{interval.low:.4f} … {interval.high:.4f}, from the spread over {interval.units:,} {what}"
