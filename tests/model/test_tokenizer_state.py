"""A tokenizer's file carries how its last caller used it; what belongs to the vocabulary counts,
and nothing else.
"""

from __future__ import annotations

import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from staged.errors import CheckpointError
from staged.model.bpe import BPE, load_bpe
from staged.model.checkpoints import load_model
from staged.model.gpt2.config import END_OF_TEXT
from staged.model.outside_tokenizer import OutsideTokenizer
from staged.model.reading.evaluate import evaluate
from tests.conftest import prose

State = dict[str, Any]
TEXTS = [
    "",
    " ",
    "The river keeps the bridge.",
    f"a {END_OF_TEXT} b{END_OF_TEXT}",
    "  é東 🎈\r\n\t x ",
    prose(5, 60),
]
MARK = {"id": END_OF_TEXT, "ids": [383], "tokens": [END_OF_TEXT]}


def truncates(state: State) -> None:
    state["truncation"] = {
        "direction": "Left",
        "max_length": 8,
        "strategy": "LongestFirst",
        "stride": 2,
    }


def pads(state: State) -> None:
    fixed = {"strategy": {"Fixed": 64}, "direction": "Left", "pad_to_multiple_of": 8}
    state["padding"] = fixed | {"pad_id": 383, "pad_type_id": 0, "pad_token": END_OF_TEXT}


def drops_out(state: State) -> None:
    state["model"]["dropout"] = 0.5


def puts_marks_around(state: State) -> None:
    special, text = (
        {"SpecialToken": {"id": END_OF_TEXT, "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    )
    pair = [special, text, {"Sequence": {"id": "B", "type_id": 1}}]
    state["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [special, text, special],
        "pair": pair,
    }
    state["post_processor"]["special_tokens"] = {END_OF_TEXT: MARK}


def trims_offsets(state: State) -> None:
    state["post_processor"] = {
        "type": "ByteLevel",
        "add_prefix_space": True,
        "trim_offsets": True,
        "use_regex": True,
    }


def puts_a_space_first(state: State) -> None:
    state["pre_tokenizer"]["add_prefix_space"] = True


def puts_a_space_first_within(state: State) -> None:
    puts_a_space_first(state)
    state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [state["pre_tokenizer"]]}


def takes_blanks_into_the_end(state: State) -> None:
    state["added_tokens"][0] |= {"lstrip": True, "rstrip": True, "normalized": True}


def makes_the_end_a_word(state: State) -> None:
    state["added_tokens"][0] |= {"special": False, "single_word": True}


def has_no_decoder(state: State) -> None:
    state["decoder"] = None


def knows_no_unknown(state: State) -> None:
    state["model"] |= {"unk_token": END_OF_TEXT, "fuse_unk": True, "byte_fallback": True}


STATES: tuple[Callable[[State], None], ...] = (
    *(
        truncates,
        pads,
        drops_out,
        puts_marks_around,
        trims_offsets,
        puts_a_space_first,
        puts_a_space_first_within,
    ),
    *(takes_blanks_into_the_end, makes_the_end_a_word, has_no_decoder, knows_no_unknown),
)


def left_in(source: Path, folder: Path, *changes: Callable[[State], None]) -> Path:
    """A copy of a model folder whose tokenizer.json its caller has used."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    state = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    for change in changes:
        change(state)
    (folder / "tokenizer.json").write_text(json.dumps(state), encoding="utf-8")
    return folder


def check_same(found: BPE, clean: BPE, texts: list[str]) -> None:
    assert (
        found.encode_batch(texts)
        == clean.encode_batch(texts)
        == [found.encode(text) for text in texts]
    )
    assert found.encode_spans(texts) == clean.encode_spans(texts)
    assert [found.decode(found.encode(text)) for text in texts] == texts
    assert (found.n_vocab, found.end_of_text) == (clean.n_vocab, clean.end_of_text)


@pytest.mark.parametrize("change", STATES, ids=lambda one: one.__name__)
def test_what_one_caller_left_is_gone(
    tiny: Path, bpe: BPE, tmp_path: Path, change: Callable[[State], None]
) -> None:
    check_same(load_bpe(left_in(tiny, tmp_path / "used", change)), bpe, TEXTS)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), text=st.text(max_size=40))
def test_what_several_callers_left_is_gone(
    tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory, seed: int, text: str
) -> None:
    changes = random.Random(seed).sample(STATES, random.Random(seed).randint(2, len(STATES)))
    check_same(
        load_bpe(left_in(tiny, tmp_path_factory.mktemp("used") / "model", *changes)), bpe, [text]
    )


def test_bits_per_byte_are_the_clean_tokenizers(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(prose(9, 80), encoding="utf-8")
    used = left_in(tiny, tmp_path / "used", truncates, pads, drops_out, puts_marks_around)
    clean, found = (
        evaluate(str(folder), str(tmp_path / "text.txt")).to_json() for folder in (tiny, used)
    )
    assert found["tokens"] == clean["tokens"]
    assert found["bits_per_byte"] == clean["bits_per_byte"]


def test_what_transformers_saves_after_a_training_call(
    tiny: Path, bpe: BPE, tmp_path: Path
) -> None:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(tiny / "tokenizer.json"), pad_token=END_OF_TEXT
    )
    tokenizer(TEXTS, truncation=True, max_length=4, padding="max_length")
    shutil.copytree(tiny, tmp_path / "trained")
    tokenizer.save_pretrained(tmp_path / "trained")
    assert (
        json.loads((tmp_path / "trained" / "tokenizer.json").read_text())["truncation"][
            "max_length"
        ]
        == 4
    )
    check_same(load_bpe(tmp_path / "trained"), bpe, TEXTS)


def test_what_is_saved_again_is_clean(tiny: Path, tmp_path: Path) -> None:
    kept = (
        puts_a_space_first_within,
        knows_no_unknown,
    )  # whose other words for the same thing stay
    load_bpe(left_in(tiny, tmp_path / "used", *(one for one in STATES if one not in kept))).save(
        tmp_path
    )
    assert json.loads((tmp_path / "tokenizer.json").read_text()) == json.loads(
        (tiny / "tokenizer.json").read_text()
    )


def added(*tokens: tuple[str, bool]) -> Callable[[State], None]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)

    def change(state: State) -> None:
        rows = [
            {"id": 384 + i, "content": token, "special": special} | flags
            for i, (token, special) in enumerate(tokens)
        ]
        state["added_tokens"] += rows

    return change


def test_special_tokens_behind_the_end_are_left_out_and_named(
    tiny: Path, bpe: BPE, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    used = left_in(tiny, tmp_path / "used", added(("[PAD]", True), ("<|user|>", True)))
    with caplog.at_level(logging.WARNING, "staged"):
        check_same(load_bpe(used), bpe, [*TEXTS, "a [PAD] b<|user|>"])
    assert f"'[PAD]', '<|user|>' behind {END_OF_TEXT} left out" in caplog.text


def test_a_normal_form_is_said(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lower = left_in(
        tiny, tmp_path / "used", lambda state: state.update(normalizer={"type": "Lowercase"})
    )
    with caplog.at_level(logging.WARNING, "staged"):
        found = load_bpe(lower)
    assert "changes texts before they are read, by Lowercase" in caplog.text
    assert found.decode(found.encode("The River")) == "the river"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (added(("COVID", False)), "added to its vocabulary as whole words.*: 'COVID'"),
        (
            lambda state: state.update(pre_tokenizer={"type": "Whitespace"}),
            "do not give a text back",
        ),
        (lambda state: state.update(pre_tokenizer=None), "do not give a text back"),
        (lambda state: state["model"].update(end_of_word_suffix="</w>"), "do not give a text back"),
        (lambda state: state.update(added_tokens=[]), "has no token <|endoftext|>"),
        (
            lambda state: state.update(
                model={"type": "WordLevel", "vocab": {END_OF_TEXT: 0}, "unk_token": END_OF_TEXT}
            ),
            "WordLevel",
        ),
    ],
    ids=["word", "no-blanks", "no-bytes", "suffix", "no-end", "words"],
)
def test_what_would_change_texts_is_refused(
    tiny: Path, tmp_path: Path, change: Callable[[State], None], says: str
) -> None:
    with pytest.raises(CheckpointError, match=says):
        load_bpe(left_in(tiny, tmp_path / "used", change))


@pytest.mark.parametrize(
    "change", [truncates, pads, drops_out, trims_offsets], ids=lambda one: one.__name__
)
def test_other_families_read_whole_texts(
    tiny: Path, tmp_path: Path, change: Callable[[State], None]
) -> None:
    found, clean = (
        OutsideTokenizer(left_in(tiny, tmp_path / "used", change), None),
        OutsideTokenizer(tiny, None),
    )
    assert (
        found.encode_batch(TEXTS)
        == clean.encode_batch(TEXTS)
        == [clean.encode(text) for text in TEXTS]
    )


def test_other_families_keep_what_stands_before_a_text_alone(
    tiny: Path, bpe: BPE, tmp_path: Path
) -> None:
    found = OutsideTokenizer(left_in(tiny, tmp_path / "used", puts_marks_around), None)
    assert found.before == [bpe.end_of_text]
    assert found.encode_batch(TEXTS) == [[bpe.end_of_text, *bpe.encode(text)] for text in TEXTS]
    (ids, spans), _ = found.encode_spans(["The river", ""])
    assert len(ids) == len(spans)
    assert spans[:2] == [(0, 0), (0, 3)]


def test_a_detector_scores_the_same_whoever_used_its_tokenizer(
    tiny_encoder: Path, tmp_path: Path
) -> None:
    used = left_in(tiny_encoder, tmp_path / "used", drops_out)
    config = json.loads((used / "tokenizer_config.json").read_text())
    config |= {"padding_side": "left", "truncation_side": "left", "model_max_length": 8}
    (used / "tokenizer_config.json").write_text(json.dumps(config))
    texts = [prose(seed, 6) for seed in range(3)]
    clean, found = (load_classifier_of(folder).score(texts) for folder in (tiny_encoder, used))
    assert found == clean


def load_classifier_of(encoder: Path) -> Any:
    """A classifier whose head is drawn anew from one seed, on an encoder's folder."""
    import torch

    from staged.detectors.kinds.roberta import RobertaDetector, load_classifier

    torch.manual_seed(1)
    model, tokenizer = load_classifier(str(encoder))
    return RobertaDetector(model, tokenizer)


def test_a_model_loads_whoever_used_its_tokenizer(tiny: Path, tmp_path: Path, bpe: BPE) -> None:
    _, found = load_model(str(left_in(tiny, tmp_path / "used", truncates, puts_marks_around)))
    check_same(found, bpe, TEXTS)
