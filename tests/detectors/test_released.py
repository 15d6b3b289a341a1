"""The released detectors: files of their layouts with random weights, against transformers' own
forward; downloads from a stub.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer, RobertaConfig, RobertaForSequenceClassification

from staged.detectors.catalog import load_detector, open_detector
from staged.detectors.kinds import released
from staged.detectors.kinds.released import load_original, load_released, shape_of
from staged.detectors.names import KNOWN, RELEASED_DETECTORS
from staged.errors import CheckpointError
from staged.model.formats.file_tensor import HeldTensor
from staged.model.sources import repositories as download
from tests.conftest import prose
from tests.model import test_download
from tests.model.test_download import Server

server = test_download.server
TEXTS = [prose(i, 1 + i % 4) for i in range(6)] + ["🎈👩‍🚀 odd\u200b", "word " * 200, ""]
OLD = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@pytest.fixture(scope="module")
def tokenizer_folder(tiny_encoder: Path) -> Path:
    return tiny_encoder


@pytest.fixture(scope="module")
def model(tokenizer_folder: Path) -> RobertaForSequenceClassification:
    return tiny_classifier(tokenizer_folder)


def tiny_classifier(tokenizer_folder: Path) -> RobertaForSequenceClassification:
    """One head of 64 as the released ones have them, two layers, random and far from even odds."""
    torch.manual_seed(5)
    config = RobertaConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(tokenizer_folder)),
        hidden_size=64,
        num_attention_heads=1,
        num_hidden_layers=2,
        intermediate_size=96,
        max_position_embeddings=68,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        initializer_range=0.3,
    )
    return RobertaForSequenceClassification(config).eval()


@pytest.fixture(scope="module")
def expected(model: RobertaForSequenceClassification, tokenizer_folder: Path) -> list[float]:
    """Fake minus real by transformers' own tokenizer call and forward, a text at a time."""
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    with torch.no_grad():
        logits = [
            model(**tokenizer(one, return_tensors="pt", truncation=True, max_length=66)).logits[0]
            for one in TEXTS
        ]
    return [float(fake - real) for fake, real in logits]


def old_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As 2019's class saved them from a DataParallel, with the pooler and the positions that it
    had.
    """
    old = {
        "module." + name.replace("LayerNorm.weight", OLD["LayerNorm.weight"]): one
        for name, one in state.items()
    }
    old = {name.replace("LayerNorm.bias", OLD["LayerNorm.bias"]): one for name, one in old.items()}
    pooler = {
        "module.roberta.pooler.dense.weight": torch.zeros(64, 64),
        "module.roberta.pooler.dense.bias": torch.zeros(64),
    }
    return old | pooler | {"module.roberta.embeddings.position_ids": torch.arange(68)[None]}


def write_original(
    path: Path, state: dict[str, torch.Tensor], *, args: Any = None, zipped: bool = True
) -> None:
    optimizer = {
        "state": {0: {"step": 3, "exp_avg": torch.zeros(4)}},
        "param_groups": [{"lr": 2e-5, "params": [0]}],
    }
    saved = {
        "epoch": 2,
        "model_state_dict": state,
        "optimizer_state_dict": optimizer,
        "args": args or {"large": False, "device": None},
    }
    torch.save(saved, path, _use_new_zipfile_serialization=zipped)


@pytest.fixture
def place(tmp_path: Path, tokenizer_folder: Path) -> Path:
    """A folder with the tokenizer, for a .pt beside it."""
    shutil.copy(tokenizer_folder / "tokenizer.json", tmp_path)
    return tmp_path


@pytest.fixture
def hub_layout(
    tmp_path: Path, model: RobertaForSequenceClassification, tokenizer_folder: Path
) -> Path:
    folder = tmp_path / "roberta-large-openai-detector"  # whose config names no labels
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    return folder


class TestOriginal:
    @pytest.mark.parametrize("zipped", [True, False], ids=["archive", "before PyTorch 1.6"])
    @pytest.mark.parametrize("names", [dict, old_names], ids=["today's names", "old names"])
    @pytest.mark.parametrize(
        "args",
        [{"large": False}, argparse.Namespace(large=False, device=None)],
        ids=["dict", "Namespace"],
    )
    def test_scores_are_transformers(
        self,
        place: Path,
        model: Any,
        expected: list[float],
        zipped: bool,
        names: Callable[..., Any],
        args: Any,
    ) -> None:
        write_original(
            place / "detector-base.pt", names(model.state_dict()), args=args, zipped=zipped
        )
        assert open_detector(str(place / "detector-base.pt")).score(TEXTS) == pytest.approx(
            expected, abs=1e-4
        )

    def test_vocab_and_merges_do_too(self, place: Path, model: Any, expected: list[float]) -> None:
        made = json.loads((place / "tokenizer.json").read_text())["model"]
        (place / "tokenizer.json").unlink()
        (place / "vocab.json").write_text(json.dumps(made["vocab"]))
        pairs = [one if isinstance(one, str) else " ".join(one) for one in made["merges"]]
        (place / "merges.txt").write_text("#version: 0.2\n" + "\n".join(pairs) + "\n")
        write_original(place / "d.pt", model.state_dict())
        assert load_original(place / "d.pt").score(TEXTS) == pytest.approx(expected, abs=1e-4)

    def test_no_tokenizer_says_where_to_put_it(self, place: Path, model: Any) -> None:
        write_original(place / "d.pt", model.state_dict())
        (place / "tokenizer.json").unlink()
        with pytest.raises(
            CheckpointError,
            match=f"{place}: RoBERTa's tokenizer is missing; put tokenizer.json, or vocab",
        ):
            load_original(place / "d.pt")

    def test_another_tokenizer(self, place: Path, model: Any) -> None:
        wide = model.state_dict() | {
            "roberta.embeddings.word_embeddings.weight": torch.zeros(999, 64)
        }
        write_original(place / "d.pt", wide)
        with pytest.raises(
            CheckpointError,
            match=r"tokenizer.json: not this detector's tokenizer: .* the model 999",
        ):
            load_original(place / "d.pt")

    @pytest.mark.parametrize(
        "layer", ["roberta.encoder.layer.1.output.dense.weight", "classifier.out_proj.bias"]
    )
    def test_missing_and_misshapen_tensors_are_named(
        self, place: Path, model: Any, layer: str
    ) -> None:
        state = dict(model.state_dict())
        write_original(place / "d.pt", state | {layer: torch.zeros(3)})
        with pytest.raises(
            CheckpointError, match=rf"d\.pt: tensor '{layer}' has shape \[3\], expected"
        ):
            load_original(place / "d.pt")
        del state[layer]
        write_original(place / "d.pt", state)
        with pytest.raises(CheckpointError, match=rf"d\.pt: tensor '{layer}' is missing"):
            load_original(place / "d.pt")

    def test_foreign_twice_and_not_finite(self, place: Path, model: Any) -> None:
        state = dict(model.state_dict())
        for change, says in [
            (
                {"lm_head.bias": torch.zeros(3)},
                "tensor 'lm_head.bias' is not in a RoBERTa detector",
            ),
            (
                {"module.classifier.dense.bias": torch.zeros(64)},
                "tensor 'classifier.dense.bias' is there twice",
            ),
            (
                {"classifier.dense.bias": torch.full((64,), torch.nan)},
                "tensor 'classifier.dense.bias' holds NaN",
            ),
        ]:
            write_original(place / "d.pt", state | change)
            with pytest.raises(CheckpointError, match=says):
                load_original(place / "d.pt")

    def test_a_truncated_file_at_any_place(self, place: Path, model: Any) -> None:
        for zipped in (True, False):
            write_original(place / "d.pt", model.state_dict(), zipped=zipped)
            whole = (place / "d.pt").read_bytes()
            for share in (0.001, 0.3, 0.9, 0.999):
                (place / "d.pt").write_bytes(whole[: int(len(whole) * share)])
                with pytest.raises(CheckpointError, match=r"d\.pt: .*(truncated|damaged|empty)"):
                    load_original(place / "d.pt")

    def test_what_is_no_checkpoint(self, place: Path, model: Any) -> None:
        (place / "d.pt").write_text("<!DOCTYPE html><title>404</title>")
        with pytest.raises(CheckpointError, match="a web page, not a checkpoint"):
            load_original(place / "d.pt")
        torch.save(model.state_dict(), place / "d.pt")
        with pytest.raises(CheckpointError, match="has no entry 'model_state_dict'"):
            load_original(place / "d.pt")

    @pytest.mark.parametrize("where", ["args", "model_state_dict"])
    @pytest.mark.parametrize("zipped", [True, False])
    def test_code_is_never_run(self, place: Path, model: Any, where: str, zipped: bool) -> None:
        victim = place / "ran"
        bomb = Bomb(str(victim))
        saved = {"model_state_dict": model.state_dict(), "args": {}} | {where: {"x": bomb}}
        torch.save(saved, place / "d.pt", _use_new_zipfile_serialization=zipped)
        with pytest.raises(
            CheckpointError, match=r"d\.pt: holds something else than tensors, which could run code"
        ):
            load_original(place / "d.pt")
        assert not victim.exists()
        (place / "d.pt").write_bytes(pickle.dumps(bomb))
        with pytest.raises(CheckpointError):
            load_original(place / "d.pt")
        assert not victim.exists()


class Bomb:
    """A pickle that would make a file when opened without care."""

    def __init__(self, victim: str) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path(self.victim),)


@pytest.mark.parametrize(
    ("width", "layers", "parameters"), [(768, 12, 124_647_170), (1024, 24, 355_361_794)]
)
def test_shapes_of_the_released_sizes(width: int, layers: int, parameters: int) -> None:
    """RoBERTa's published shape, from tensors that take no memory; and that a lost last layer is
    missed.
    """
    with torch.device("meta"):
        whole = RobertaForSequenceClassification(
            RobertaConfig(
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=width // 64,
                intermediate_size=4 * width,
                max_position_embeddings=514,
                type_vocab_size=1,
            )
        )
    state = {name: HeldTensor(Path("x"), name, one) for name, one in whole.state_dict().items()}
    for stored in (
        state,
        {name: one for name, one in state.items() if f"layer.{layers - 1}." not in name},
    ):
        found = shape_of(stored, Path("x"))
        assert (found.num_hidden_layers, found.num_attention_heads, found.intermediate_size) == (
            layers,
            width // 64,
            4 * width,
        )
        assert (found.vocab_size, found.max_position_embeddings, found.type_vocab_size) == (
            50265,
            514,
            1,
        )
        with torch.device("meta"):
            assert RobertaForSequenceClassification(found).num_parameters() == parameters


class TestHubLayout:
    def test_scores_are_transformers_and_output_0_is_fake(
        self, hub_layout: Path, expected: list[float]
    ) -> None:
        assert released.load_hub_layout(hub_layout).score(TEXTS) == pytest.approx(
            expected, abs=1e-4
        )

    def test_a_copied_folder_opens_by_its_path(
        self, hub_layout: Path, expected: list[float]
    ) -> None:
        assert open_detector(str(hub_layout)).score(TEXTS) == pytest.approx(expected, abs=1e-4)

    def test_a_pickle_does_too(self, hub_layout: Path, model: Any, expected: list[float]) -> None:
        (hub_layout / "model.safetensors").unlink()
        torch.save(dict(model.state_dict()), hub_layout / "pytorch_model.bin")
        assert released.load_hub_layout(hub_layout).score(TEXTS) == pytest.approx(
            expected, abs=1e-4
        )

    def test_a_truncated_file_and_an_error_page(self, hub_layout: Path) -> None:
        weights = hub_layout / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-10])
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors: .*truncated: it ends before tensor"
        ):
            released.load_hub_layout(hub_layout)
        weights.write_text("<html>Bad gateway</html>")
        with pytest.raises(CheckpointError, match="a web page, not a checkpoint"):
            released.load_hub_layout(hub_layout)

    def test_another_architecture(self, hub_layout: Path) -> None:
        config = json.loads((hub_layout / "config.json").read_text())
        (hub_layout / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
        with pytest.raises(CheckpointError, match="model_type is 'bert', not 'roberta'"):
            released.load_hub_layout(hub_layout)

    def test_a_language_model_without_a_head_is_no_detector(self, tiny_encoder: Path) -> None:
        with pytest.raises(
            CheckpointError,
            match=r"tensor 'classifier\.dense\.bias' is missing; it is not a fine-tuned classifier",
        ):
            load_detector(tiny_encoder)


class TestCatalog:
    def test_every_released_name_is_there(self) -> None:
        assert set(RELEASED_DETECTORS) <= set(KNOWN)

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("roberta-base-openai-detectr", "did you mean 'roberta-base-openai-detector'"),
            ("/no/such/place", "no such folder or file; '/' holds the folders"),
            ("./evidence", "no such folder or file; did you mean 'evidence'"),
            ("mini-s/", "no such folder or file"),
            ("", "neither a known detector nor a folder or file"),
        ],
    )
    def test_unknown_names(self, name: str, says: str) -> None:
        with pytest.raises(CheckpointError, match=says):
            open_detector(name)

    def test_a_file_of_another_kind(self, tmp_path: Path) -> None:
        (tmp_path / "d.bin").write_bytes(b"x")
        with pytest.raises(
            CheckpointError,
            match=r"d\.bin: not a detector; give a detector's folder, or a detector-\*\.pt file",
        ):
            open_detector(str(tmp_path / "d.bin"))

    def test_not_released(self) -> None:
        with pytest.raises(CheckpointError, match="not a released one"):
            load_released("detector-huge.pt")


class TestDownloads:
    @pytest.fixture(autouse=True)
    def place(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from huggingface_hub import constants

        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(released, "BUCKETS", (f"{server.url}/old", f"{server.url}/new"))
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants,
            "HUGGINGFACE_CO_URL_TEMPLATE",
            server.url + "/{repo_id}/resolve/{revision}/{filename}",
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)

    def detectors(self, tmp_path: Path) -> Path:
        return tmp_path / "cache" / "staged" / "openai" / "detectors"

    def original(self, tmp_path: Path, model: Any) -> bytes:
        write_original(tmp_path / "made.pt", model.state_dict())
        return (tmp_path / "made.pt").read_bytes()

    def test_the_original_file_continues_from_the_second_address(
        self,
        server: Server,
        tmp_path: Path,
        model: Any,
        tokenizer_folder: Path,
        expected: list[float],
    ) -> None:
        self.detectors(tmp_path).mkdir(parents=True)
        shutil.copy(tokenizer_folder / "tokenizer.json", self.detectors(tmp_path))
        server.files["/new/detector-base.pt"] = self.original(tmp_path, model)
        server.break_after = [5000]
        assert open_detector("detector-base.pt").score(TEXTS) == pytest.approx(expected, abs=1e-4)
        assert server.asked == [
            ("/old/detector-base.pt", None),
            ("/new/detector-base.pt", None),
            ("/new/detector-base.pt", "bytes=5000-"),
        ]
        open_detector("detector-base.pt")
        assert len(server.asked) == 3

    def test_an_error_page_from_both(self, server: Server, tmp_path: Path) -> None:
        server.files = {"/old/detector-large.pt": b"x", "/new/detector-large.pt": b"x"}
        server.html = True
        with pytest.raises(
            CheckpointError,
            match=r"/old/detector-large\.pt: the server answered with a web page .*; and .*/new/",
        ):
            load_released("detector-large.pt")
        assert not list(self.detectors(tmp_path).iterdir())

    def test_offline_says_what_and_where(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(
            CheckpointError,
            match=(
                f"HF_HUB_OFFLINE is set and .*detector-base.pt is not here; put it into {tmp_path}"
            ),
        ):
            load_released("detector-base.pt")
        with pytest.raises(
            CheckpointError, match=r"HF_HUB_OFFLINE is set and the hub's cache lacks config\.json"
        ):
            load_released("roberta-base-openai-detector")
        assert server.asked == []

    @pytest.fixture
    def hub(
        self, server: Server, hub_layout: Path, monkeypatch: pytest.MonkeyPatch
    ) -> dict[str, bytes]:
        """The stub as a hub: one repository, weights as an LFS file, for huggingface_hub's own
        client.
        """
        files = {path.name: path.read_bytes() for path in hub_layout.iterdir()}
        plain = server.respond

        def respond(request: BaseHTTPRequestHandler) -> None:
            if "/tree/" in request.path:
                return answer_json(request, [entry(name, body) for name, body in files.items()])
            if request.path.startswith("/api/models/"):
                return answer_json(
                    request,
                    {
                        "id": "x",
                        "sha": "0" * 40,
                        "siblings": [{"rfilename": name} for name in files],
                    },
                )
            body = files.get(request.path.rpartition("/")[2])
            if body is not None:
                server.files[request.path] = body
            return plain(request)

        monkeypatch.setattr(server, "respond", respond)
        monkeypatch.setattr(
            BaseHTTPRequestHandler,
            "do_HEAD",
            lambda request: answer_head(request, files),
            raising=False,
        )
        return files

    def test_from_the_hub_once(
        self, server: Server, hub: dict[str, bytes], expected: list[float]
    ) -> None:
        assert load_released("roberta-large-openai-detector").score(TEXTS) == pytest.approx(
            expected, abs=1e-4
        )
        asked = len(server.asked)
        assert open_detector("openai-community/roberta-large-openai-detector").score(
            TEXTS
        ) == pytest.approx(expected, abs=1e-4)
        assert len(server.asked) == asked

    def test_a_broken_connection_to_the_hub_continues(
        self,
        server: Server,
        hub: dict[str, bytes],
        expected: list[float],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        from huggingface_hub import constants

        monkeypatch.setattr(
            constants, "DOWNLOAD_CHUNK_SIZE", 1000
        )  # what has arrived is kept by whole chunks, by default of 10 MB
        whole, broken = server.respond, list[str]()

        def respond(request: BaseHTTPRequestHandler) -> None:
            if request.path.endswith(".safetensors") and not broken:
                broken.append(request.path)
                answer(
                    request, hub["model.safetensors"], "application/octet-stream", send_bytes=5000
                )
            else:
                whole(request)

        monkeypatch.setattr(server, "respond", respond)
        assert load_released("roberta-large-openai-detector").score(TEXTS) == pytest.approx(
            expected, abs=1e-4
        )
        assert [wanted for path, wanted in server.asked if path.endswith(".safetensors")] == [
            "bytes=5000-"
        ]

    def test_another_file_than_the_hub_states(
        self, server: Server, hub: dict[str, bytes], tmp_path: Path
    ) -> None:
        load_released("roberta-large-openai-detector")
        (blob,) = [
            path
            for path in (tmp_path / "hub").rglob("blobs/*")
            if download.SHA256.fullmatch(path.name)
        ]
        data = bytearray(blob.read_bytes())
        data[-3] ^= 1
        blob.write_bytes(data)
        with pytest.raises(
            CheckpointError,
            match=r"model\.safetensors: does not match the SHA-256 that the hub states",
        ):
            load_released("roberta-large-openai-detector")
        load_released("roberta-large-openai-detector")  # thrown away, it was downloaded again

    def test_the_tokenizer_of_an_original_file_comes_from_the_hub(
        self,
        server: Server,
        hub: dict[str, bytes],
        tmp_path: Path,
        model: Any,
        expected: list[float],
    ) -> None:
        server.files["/old/detector-base.pt"] = self.original(tmp_path, model)
        assert load_released("detector-base.pt").score(TEXTS) == pytest.approx(expected, abs=1e-4)
        assert (self.detectors(tmp_path) / "tokenizer.json").is_file()


def entry(name: str, body: bytes) -> dict[str, Any]:
    """One row of the hub's list of files."""
    return {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}


def answer_json(request: BaseHTTPRequestHandler, value: Any) -> None:
    answer(request, json.dumps(value).encode(), "application/json")


def answer(
    request: BaseHTTPRequestHandler, body: bytes, kind: str, *, send_bytes: int | None = None
) -> None:
    """A whole answer, or its first bytes and then the end of the connection."""
    request.send_response(200)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body[:send_bytes])


def answer_head(request: BaseHTTPRequestHandler, files: dict[str, bytes]) -> None:
    """What the hub says of a file: its etag is the SHA-256 of a large one, another sum of a small
    one.
    """
    body = files.get(request.path.rpartition("/")[2])
    if body is None:
        request.send_response(404)
        request.send_header("X-Error-Code", "EntryNotFound")
        request.end_headers()
        return
    large = request.path.endswith(".safetensors")
    request.send_response(200)
    request.send_header(
        "ETag", f'"{hashlib.sha256(body).hexdigest() if large else hashlib.sha1(body).hexdigest()}"'
    )
    request.send_header("X-Repo-Commit", "0" * 40)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
