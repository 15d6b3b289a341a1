"""Downloads, against a server of our own: ranges, broken connections, error pages, checksums; and
nothing at all offline.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from staged.errors import CheckpointError
from staged.model.checkpoints import load_model, model_folder
from staged.model.gpt2.config import GPT2Config
from staged.model.sources import repositories as download
from staged.model.sources.releases import Release
from staged.model.sources.repositories import openai_folder
from staged.model.sources.resumable_download import fetch

GOLDEN = Path(__file__).parents[1] / "golden" / "tensorflow" / "one"
BODY = bytes(range(256)) * 40
TINY = Release("124M", "nobody/none", (), GPT2Config(260, 16, 8, 2, 2))


class Server:
    """What a test's server holds, how it misbehaves, and what it was asked."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/file": BODY}
        self.break_after: list[int] = []  # bytes, for the next answers
        self.ranges, self.md5, self.html = True, False, False
        self.status = 200
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def respond(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((request.path, request.headers.get("Range")))
        body = self.files.get(request.path)
        if body is None or self.status != 200:
            request.send_error(404 if body is None else self.status)
            return
        wanted = (
            re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range") or "")
            if self.ranges
            else None
        )
        first = int(wanted[1]) if wanted else 0
        if first and first >= len(body):
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if wanted else 200)
        request.send_header(
            "Content-Type", "text/html; charset=utf-8" if self.html else "application/octet-stream"
        )
        request.send_header("Content-Length", str(len(body) - first))
        if wanted:
            request.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if self.md5:
            request.send_header(
                "Content-MD5", base64.b64encode(hashlib.md5(BODY).digest()).decode()
            )
        request.end_headers()
        request.wfile.write(
            body[first : first + self.break_after.pop(0)] if self.break_after else body[first:]
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    held = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            held.respond(self)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr("staged.model.sources.resumable_download.PAUSE_S", 0.0)
    monkeypatch.setenv("no_proxy", "*")
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    held.url = f"http://127.0.0.1:{http.server_port}"
    yield held
    http.shutdown()
    thread.join()
    http.server_close()


class TestFetch:
    def test_whole(self, server: Server, tmp_path: Path) -> None:
        server.md5 = True
        fetch(
            f"{server.url}/file",
            tmp_path / "f",
            size_bytes=len(BODY),
            sha256=hashlib.sha256(BODY).hexdigest(),
        )
        assert (tmp_path / "f").read_bytes() == BODY
        assert [path.name for path in tmp_path.iterdir()] == ["f"]

    def test_broken_connections_continue_where_they_were(
        self, server: Server, tmp_path: Path
    ) -> None:
        server.break_after = [1000, 2500]
        fetch(f"{server.url}/file", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert [asked for _, asked in server.asked] == [None, "bytes=1000-", "bytes=3500-"]

    def test_a_killed_download_continues(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "f.partial").write_bytes(BODY[:7000])
        fetch(f"{server.url}/file", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY
        assert server.asked == [("/file", "bytes=7000-")]

    @pytest.mark.parametrize("part", [BODY, BODY + b"more"])
    def test_a_part_that_leaves_nothing_to_ask_for(
        self, server: Server, tmp_path: Path, part: bytes
    ) -> None:
        (tmp_path / "f.partial").write_bytes(part)
        fetch(f"{server.url}/file", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY

    def test_a_server_without_ranges_begins_again(self, server: Server, tmp_path: Path) -> None:
        server.ranges, server.break_after = False, [1000]
        fetch(f"{server.url}/file", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == BODY

    def test_a_part_of_another_file_is_thrown_away(self, server: Server, tmp_path: Path) -> None:
        (tmp_path / "f.partial").write_bytes(b"x" * 5000)
        with pytest.raises(
            CheckpointError, match="does not match its known SHA-256; it was thrown away"
        ):
            fetch(f"{server.url}/file", tmp_path / "f", sha256=hashlib.sha256(BODY).hexdigest())
        assert not list(tmp_path.iterdir())
        server.md5 = True
        (tmp_path / "f.partial").write_bytes(b"x" * 5000)
        with pytest.raises(CheckpointError, match="does not match the server's MD5"):
            fetch(f"{server.url}/file", tmp_path / "f")

    def test_another_size_than_known(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="has 10240 bytes, not 12"):
            fetch(f"{server.url}/file", tmp_path / "f", size_bytes=12)

    def test_error_pages(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="the server answered 404"):
            fetch(f"{server.url}/other", tmp_path / "f")
        server.html = True
        with pytest.raises(CheckpointError, match="answered with a web page instead of the file"):
            fetch(f"{server.url}/file", tmp_path / "f")
        server.html, server.status = False, 503
        with pytest.raises(CheckpointError, match=r"no answer after 5 attempts \(503 "):
            fetch(f"{server.url}/file", tmp_path / "f")
        assert not list(tmp_path.iterdir())

    def test_no_server(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(
            CheckpointError, match=r"http://127\.0\.0\.1:9/file: no answer after 5 attempts"
        ):
            fetch("http://127.0.0.1:9/file", tmp_path / "f")


class TestOpenAI:
    @pytest.fixture(autouse=True)
    def place(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        monkeypatch.setattr(download, "BUCKET", f"{server.url}/models")
        monkeypatch.setattr(
            download, "SUMS", {}
        )  # the golden folder's tokenizer is not the release's
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        server.files = {f"/models/124M/{path.name}": path.read_bytes() for path in GOLDEN.iterdir()}

    def test_downloaded_once_and_loaded(self, server: Server) -> None:
        folder = openai_folder(TINY)
        assert load_model(str(folder))[0].config == TINY.config
        asked = len(server.asked)
        assert asked == len(download.FILES)
        assert openai_folder(TINY) == folder
        assert len(server.asked) == asked

    def test_data_of_another_size_is_refused(self, server: Server) -> None:
        server.files[f"/models/124M/{download.DATA}"] += b"more"
        with pytest.raises(
            CheckpointError, match=r"data-00000-of-00001: the file has 15876 bytes, not 15872"
        ):
            openai_folder(TINY)

    def test_offline_says_what_is_missing_and_where_to_put_it(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        place = tmp_path / "cache" / "staged" / "openai" / "124M"
        with pytest.raises(
            CheckpointError,
            match=f"checkpoint, hparams.json, .*model.ckpt.index, .*put them into {place}",
        ):
            openai_folder(TINY)
        shutil.copytree(GOLDEN, place)
        (place / "vocab.bpe").unlink()
        with pytest.raises(
            CheckpointError, match=r"HF_HUB_OFFLINE is set and vocab\.bpe of .* is missing"
        ):
            openai_folder(TINY)
        shutil.copy(GOLDEN / "vocab.bpe", place)
        assert openai_folder(TINY) == place
        assert server.asked == []


class TestHub:
    """huggingface_hub's cache, filled by hand as it lays it out."""

    @pytest.fixture
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        from huggingface_hub import constants

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        return tmp_path / "models--openai-community--gpt2"

    def fill(self, cache: Path, source: Path) -> Path:
        snapshot = cache / "snapshots" / ("0" * 40)
        (cache / "refs").mkdir(parents=True)
        (cache / "refs" / "main").write_text("0" * 40)
        shutil.copytree(source, snapshot)
        return snapshot

    def test_a_cached_model_is_used_by_every_name(self, tiny: Path, cache: Path) -> None:
        snapshot = self.fill(cache, tiny)
        for name in ("gpt2", "124M", "117M", "small", "openai-community/gpt2"):
            assert model_folder(name) == snapshot
        assert load_model("gpt2")[0].config.n_layer == 2

    def test_offline_says_what_is_missing(self, tiny: Path, cache: Path) -> None:
        with pytest.raises(
            CheckpointError,
            match=r"lacks config\.json, model\.safetensors, tokenizer\.json; put these files into",
        ):
            model_folder("gpt2")
        (self.fill(cache, tiny) / "model.safetensors").unlink()
        with pytest.raises(
            CheckpointError, match=r"lacks model\.safetensors; put these files into a folder"
        ):
            model_folder("gpt2")

    def test_only_needed_files_are_downloaded(
        self, tiny: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stand-in for the download itself: a repository with pickles alone, and with a second
        framework's weights.
        """
        import huggingface_hub

        repository = [
            "config.json",
            "tokenizer.json",
            "pytorch_model.bin",
            "tf_model.h5",
            "README.md",
            "onnx/model.onnx",
        ]
        place, asked = tmp_path / "got", list[list[str]]()
        place.mkdir()

        def stand_in(_: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
            got = [
                name
                for name in repository
                if any(fnmatch.fnmatch(name, pattern) for pattern in allow_patterns)
            ]
            if not local_files_only:
                asked.append(got)
                for name in got:
                    (place / name).write_bytes(
                        (tiny / name).read_bytes() if (tiny / name).is_file() else b"x"
                    )
            return str(place)

        monkeypatch.setattr(huggingface_hub, "snapshot_download", stand_in)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        assert model_folder("someone/gpt2-letters") == place
        assert sorted(path.name for path in place.iterdir()) == [
            "config.json",
            "pytorch_model.bin",
            "tokenizer.json",
        ]
        assert model_folder("someone/gpt2-letters") == place
        assert len(asked) == 2  # safetensors first, pickles then, nothing the second time

    def test_no_network(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import huggingface_hub

        def down(*_: object, local_files_only: bool = False, **__: object) -> str:
            from huggingface_hub.errors import LocalEntryNotFoundError

            raise LocalEntryNotFoundError("Got: ConnectError: no route\nand a second line")

        monkeypatch.setattr(huggingface_hub, "snapshot_download", down)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        with pytest.raises(
            CheckpointError,
            match=r"did not give it: ConnectError: no route; check the network, or put .* its path",
        ):
            model_folder("a/b")
