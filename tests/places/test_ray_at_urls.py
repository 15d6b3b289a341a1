"""A Ray cluster whose machines share nothing but a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import staged
from staged.engines import ray as ray_engine
from tests.places.conftest import Bucket

pytestmark = pytest.mark.slow


@pytest.fixture
def caches(store: Any, tmp_path: Path) -> list[Path]:
    return [tmp_path / "cache of the head", tmp_path / "cache of the other"]


@pytest.fixture
def address(caches: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Two nodes of a core each, with a cache of its own."""
    for name, value in ray_engine.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    head, other = ({"num_cpus": 1, "env_vars": {"XDG_CACHE_HOME": str(place)}} for place in caches)
    cluster = Cluster(initialize_head=True, head_node_args=head | {"include_dashboard": False})
    cluster.add_node(**other)
    cluster.wait_for_nodes()
    yield cluster.address
    cluster.shutdown()


def test_machines_that_share_a_bucket_make_the_bytes_of_one(
    bucket: Bucket, address: str, caches: list[Path], plan: Path, local: dict[str, bytes]
) -> None:
    staged.study(plan, bucket.url("study"), engine=staged.Engine("ray", address))
    assert bucket.files() == local
    for cache in caches:
        assert list(cache.rglob("corpus/manifest.json"))  # it has fetched what it read
