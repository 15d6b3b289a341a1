"""OpenAI's TensorFlow folders: against files that TensorFlow itself wrote, and damaged in every
way.
"""

from __future__ import annotations

import hashlib
import json
import re
import runpy
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from staged.errors import CheckpointError
from staged.model.checkpoints import load_model
from staged.model.convert import convert
from staged.model.formats.tensor_index import read_index
from staged.model.formats.tensorflow import checkpoint_prefix, hub_name, read_tensorflow
from staged.model.sources.releases import RELEASES
from tests.model.leveldb import HEADER, entry, field, table_of

GOLDEN = Path(__file__).parents[1] / "golden" / "tensorflow"
DATA = "model.ckpt.data-00000-of-00001"
REPAIR = "tests/golden/tensorflow/write.py makes these files again"


@pytest.mark.parametrize("name", ["one", "two"])
class TestWrittenByTensorFlow:
    def test_every_variable_has_its_bytes(self, name: str) -> None:
        prefix = checkpoint_prefix(GOLDEN / name)
        assert prefix is not None
        stored = read_tensorflow(prefix)
        expected = json.loads((GOLDEN / "expected.json").read_text())["sha256"]
        assert {hub_name(variable) for variable in expected} == set(stored), REPAIR
        for variable, digest in expected.items():
            read = stored[str(hub_name(variable))].read()
            assert hashlib.sha256(read.numpy().tobytes()).hexdigest() == digest, (
                f"{variable}; {REPAIR}"
            )

    def test_model_equals_transformers_after_conversion(self, name: str, tmp_path: Path) -> None:
        assert convert(str(GOLDEN / name), tmp_path / "hub")
        ours, bpe = load_model(str(GOLDEN / name))
        theirs = GPT2LMHeadModel.from_pretrained(tmp_path / "hub").eval()
        tokens = torch.tensor([bpe.encode("the hand and ñ")])
        with torch.no_grad():
            torch.testing.assert_close(ours(tokens), theirs(tokens).logits, atol=1e-5, rtol=0)
        assert bpe.decode(tokens[0].tolist()) == "the hand and ñ"


@pytest.mark.slow
def test_the_golden_files_are_what_the_installed_tensorflow_writes(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="the extra [tensorflow]")
    runpy.run_path(str(GOLDEN / "write.py"))["main"](tmp_path)
    for name in ("one", "two"):
        written, golden = (
            read_tensorflow(folder / name / "model.ckpt") for folder in (tmp_path, GOLDEN)
        )
        assert {key: tensor.crc32c for key, tensor in written.items()} == {
            key: tensor.crc32c for key, tensor in golden.items()
        }


def flip(name: str, at: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at] ^= 1
        (folder / name).write_bytes(data)

    return damage


def cut(name: str, length: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:length])


def replaced(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data)


DAMAGES: list[tuple[Callable[[Path], None], str]] = [
    (
        flip(DATA, 0),
        r"data-00000-of-00001: tensor 'model/h0/attn/c_attn/b' does not match its checksum",
    ),
    (flip(DATA, -1), r"data-00000-of-00001: tensor 'model/wte' does not match its checksum"),
    (
        flip("model.ckpt.index", 30),
        r"index: damaged TensorFlow index: the block at byte 0 does not match its checksum",
    ),
    (
        flip("model.ckpt.index", -1),
        r"index: damaged TensorFlow index: it does not end as a table does",
    ),
    (
        cut("model.ckpt.index", 400),
        r"index: damaged TensorFlow index: it does not end as a table does",
    ),
    (cut(DATA, 9000), r"data-00000-of-00001: truncated: it ends before variable 'model/wte' does"),
    (cut(DATA, 0), r"data-00000-of-00001: an empty file"),
    (lambda folder: (folder / DATA).unlink(), r"data-00000-of-00001: no such file"),
    (
        lambda folder: (folder / "model.ckpt.index").unlink(),
        r"model\.ckpt\.index: no such file, but .*checkpoint names it",
    ),
    (
        replaced("checkpoint", b"<html>404</html>"),
        r"checkpoint: a web page, not a checkpoint: the download was an error page",
    ),
    (replaced("checkpoint", b"nothing"), r"checkpoint: names no checkpoint"),
    (replaced(DATA, b"<!DOCTYPE html><title>403</title>"), r"data-00000-of-00001: a web page"),
    (
        replaced("model.ckpt.index", b"version https://git-lfs.github.com/spec/v1\noid"),
        r"model\.ckpt\.index: a git-lfs pointer",
    ),
    (replaced("hparams.json", b'{"n_vocab": 260}'), r"hparams\.json: key 'n_ctx' is missing"),
    (
        replaced(
            "hparams.json", b'{"n_vocab": 260, "n_ctx": 16, "n_embd": 8, "n_head": 2, "n_layer": 3}'
        ),
        r"model\.ckpt\.index: tensor 'h\.2\.ln_1\.weight' is missing",
    ),
    (
        replaced(
            "hparams.json", b'{"n_vocab": 260, "n_ctx": 16, "n_embd": 8, "n_head": 2, "n_layer": 1}'
        ),
        r"tensor 'h\.1\.\S+' is not in a GPT-2 of the shape that hparams\.json says",
    ),
    (
        replaced(
            "hparams.json", b'{"n_vocab": 260, "n_ctx": 32, "n_embd": 8, "n_head": 2, "n_layer": 2}'
        ),
        r"tensor 'wpe\.weight' has shape \[16, 8\], hparams\.json says \[32, 8\]",
    ),
    (
        lambda folder: (folder / "vocab.bpe").unlink(),
        r"no tokenizer\.json here, nor encoder\.json and vocab\.bpe",
    ),
    (replaced("encoder.json", b"<html>"), r"encoder\.json: a web page"),
    (
        replaced("encoder.json", b'{"a": 0'),
        r"encoder\.json and .*vocab\.bpe: not a readable tokenizer",
    ),
]


@pytest.mark.parametrize(("damage", "says"), DAMAGES)
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], None], says: str) -> None:
    folder = tmp_path / "124M"
    shutil.copytree(GOLDEN / "one", folder)
    damage(folder)
    with pytest.raises(CheckpointError, match=says):
        load_model(str(folder))


class TestTable:
    def test_many_blocks_with_shared_beginnings(self) -> None:
        names = sorted(f"model/h{layer}/ln_1/{kind}" for layer in range(48) for kind in "bg")
        pairs = [
            HEADER,
            *((name.encode(), entry(shape=(i,), size=4 * i)) for i, name in enumerate(names)),
        ]
        for per_block in (1, 7, 1000):
            shards, entries = read_index(table_of(pairs, per_block=per_block), Path("index"))
            assert shards == 1
            assert [(name, one.shape) for name, one in entries.items()] == [
                (name, (i,)) for i, name in enumerate(names)
            ]

    @pytest.mark.parametrize(
        ("data", "says"),
        [
            (
                table_of([HEADER, (b"a", entry())], per_block=1, kind=1),
                "block at byte 0 is compressed (type 1)",
            ),
            (table_of([(b"a", entry())], per_block=1), "it has no header entry"),
            (
                table_of([HEADER, (b"b", entry()), (b"a", entry())], per_block=1),
                "its keys are not in order",
            ),
            (
                table_of([HEADER, (b"a", entry(shard=3))], per_block=9),
                "variable b'a' is in shard 3 of 1",
            ),
            (table_of([HEADER, (b"\xff", entry())], per_block=9), "name is not UTF-8"),
            (
                table_of([HEADER, (b"a", entry()[:-1])], per_block=9),
                "a field reaches beyond its entry",
            ),
            (
                table_of([HEADER, (b"a", entry(offset=2**63))], per_block=9),
                "something else where a count is due",
            ),
            (
                table_of([(b"", field(1, 1) + field(2, 1))], per_block=9),
                "it was written big-endian",
            ),
            (table_of([(b"", field(1, 0))], per_block=9), "it names 0 shards"),
        ],
    )
    def test_refused(self, data: bytes, says: str) -> None:
        with pytest.raises(CheckpointError, match=re.escape(says)):
            read_index(data, Path("index"))

    @pytest.mark.parametrize(
        ("one", "says"),
        [
            (
                entry(dtype=14, size=12),
                "variable 'model/wte' has TensorFlow's type 14; only 1, float32",
            ),
            (entry(size=20), r"variable 'model/wte' of shape \[2, 3\] takes 20 bytes"),
            (entry(offset=4), "truncated: it ends before variable 'model/wte'"),
            (entry() + field(7, b""), "'model/wte' is stored in slices"),
        ],
    )
    def test_entries_that_do_not_fit_are_refused(
        self, tmp_path: Path, one: bytes, says: str
    ) -> None:
        (tmp_path / "model.ckpt.index").write_bytes(
            table_of([HEADER, (b"model/wte", one)], per_block=9)
        )
        (tmp_path / DATA).write_bytes(bytes(range(24)))
        with pytest.raises(CheckpointError, match=says):
            read_tensorflow(tmp_path / "model.ckpt")


class TestNames:
    def test_tensor_counts_of_the_release(self) -> None:
        from staged.model.gpt2.weights import shapes

        assert [len(shapes(one.config)) for one in RELEASES] == [148, 292, 436, 580]

    @pytest.mark.parametrize(
        ("variable", "name"),
        [
            ("model/wte", "wte.weight"),
            ("model/ln_f/b", "ln_f.bias"),
            ("model/h11/attn/c_attn/w", "h.11.attn.c_attn.weight"),
            ("model/h0/ln_2/g", "h.0.ln_2.weight"),
            ("global_step", None),
            ("model/wte/Adam", None),
        ],
    )
    def test_variables_by_the_hubs_names(self, variable: str, name: str | None) -> None:
        assert hub_name(variable) == name


def test_path_of_another_machine_in_the_record(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN / "one", tmp_path / "m")
    (tmp_path / "m" / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model.ckpt"\n')
    assert checkpoint_prefix(tmp_path / "m") == tmp_path / "m" / "model.ckpt"
    (tmp_path / "m" / "checkpoint").unlink()
    assert checkpoint_prefix(tmp_path / "m") == tmp_path / "m" / "model.ckpt"
