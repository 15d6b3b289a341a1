"""A store of objects as Amazon's, on this machine."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import staged
from staged.places.mirror import place
from tests.studies.commands import fork_workers

PLAN = """
title = "A study of a random model"
models = ["{model}"]
methods = ["temperature-1"]
detectors = ["tfidf"]
n_train = 24
n_valid = 20
n_test = 16
length_tokens = 24
lengths = [24]
batch = 8
[corpus]
source = "{human}"
budget_tokens = 60
minimum_tokens = 20
[corpus.shares]
train = 0.4
valid = 0.25
test = 0.35
"""
HERE = staged.Engine(workers=1)


@pytest.fixture(scope="session")
def store() -> Iterator[Any]:
    """A client of the store, whose address and credentials stand in the environment, for the
    processes that tests start as well.
    """
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield boto3.client("s3")
    server.stop()


@pytest.fixture
def bucket(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """An empty bucket, and an empty cache on this machine; workers know of both."""
    fork_workers(monkeypatch, multiprocessing.get_context("fork"))
    name = f"bucket-{uuid4().hex[:12]}"
    store.create_bucket(Bucket=name)
    made = Bucket(store, name)
    made.on_another_machine = lambda: monkeypatch.setenv(
        "XDG_CACHE_HOME", str(tmp_path / uuid4().hex)
    )
    made.on_another_machine()
    return made


class Bucket:
    """What stands in a bucket.

    Attributes:
        on_another_machine: from here on this machine's cache is another, empty one.
    """

    on_another_machine: Callable[[], None]

    def __init__(self, client: Any, name: str) -> None:
        self.client, self.name = client, name

    def url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    @property
    def study(self) -> Path:
        """A folder in it, as the path of this machine."""
        return place(self.url("study"))

    def put(self, key: str, data: str | bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=key, Body=data)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.name, Key=key)

    def get(self, key: str) -> bytes:
        data: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return data

    def keys(self) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return {entry["Key"] for page in pages for entry in page.get("Contents", ())}

    def all(self) -> dict[str, bytes]:
        return {key: self.get(key) for key in self.keys()}

    def files(self) -> dict[str, bytes]:
        """Name → bytes below `study`."""
        return {key.removeprefix("study/"): data for key, data in self.all().items()}


@pytest.fixture(scope="session")
def plan(tiny: Path, human_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.toml"
    path.write_text(PLAN.format(model=tiny, human=human_folder))
    return path


@pytest.fixture(scope="session")
def local(plan: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Every file of the study where its folder is a local one."""
    root = tmp_path_factory.mktemp("local") / "study"
    staged.study(plan, root, engine=HERE)
    return files_in(root)


def files_in(root: Path) -> dict[str, bytes]:
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }
