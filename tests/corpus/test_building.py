"""A corpus from pages: what is taken, what is left out and said so, and how the work goes on."""

from __future__ import annotations

import json
import os
import random
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from datatrove.data import Document as Text
from loguru import logger
from typer.testing import CliRunner

import staged
from staged.cli import app
from staged.corpus.building import libraries
from staged.corpus.building.addresses import (
    host_of,
    is_below,
    listed_urls,
    normal_url,
    site_of,
    url_key,
)
from staged.corpus.building.build import build_corpus
from staged.corpus.building.executors import Local
from staged.corpus.building.plan import BuildSettings, ExecutorSettings, read_build
from staged.corpus.building.results import BuildCounts
from staged.corpus.building.steps import near
from staged.corpus.building.steps.texts import TextsWriter
from staged.corpus.building.steps.words import Words
from staged.corpus.duplicates import WORD, drop_duplicates, shingles_of
from staged.corpus.files import read_corpus
from staged.errors import ArtifactError, CorpusError, PlanError
from staged.plans.shipped import find_plan
from staged.records import HUMAN, Document
from staged.verbs import corpus as verbs
from tests.corpus.web_pages import page, prose, write_warc
from tests.storage.test_gate import tree

ALONE = ExecutorSettings(workers=1, tasks=2)
HALVES = {"train": 0.5, "test": 0.5}


def settings(*pages: Path, **others: Any) -> BuildSettings:
    given: dict[str, Any] = {"shares": HALVES, "executor": ALONE} | others
    return BuildSettings(tuple(map(str, pages)), **given)


def build(out: Path, *pages: Path, **others: Any) -> BuildCounts:
    return build_corpus(settings(*pages, **others), out, lambda what, done, total: None)


def rows(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "documents").rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def left_out(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "left_out.jsonl").read_text().splitlines()]


def reasons(out: Path) -> dict[str, tuple[str, str]]:
    """URL, or else id → step and reason."""
    return {row["url"] or row["id"]: (row["step"], row["reason"]) for row in left_out(out)}


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two WARC files and a folder of HTML: 12 pages to take, and one of every kind that is not."""
    folder = tmp_path_factory.mktemp("crawl")
    write_warc(
        folder / "a.warc.gz",
        [(f"https://www.site{i % 4}.com/{i}", page(prose(i))) for i in range(8)],
    )
    others = {
        "https://en.wikipedia.org/wiki/Union": page(prose(20)),
        "https://twice.com/1": page(f"Again. {prose(3)}"),
        "https://short.com/1": page(prose(1)[:190]),
        "https://german.de/1": page(GERMAN),
        "https://repeats.com/1": page("Buy now, and pay later. \n\n" * 60),
        "https://void.com/1": "<html><body></body></html>",
        "https://blank.com/1": " ",
    }
    write_warc(folder / "b.warc", others.items())
    write_warc(folder / "b.warc", [("https://gone.com/1", page(prose(30)))], status="404 Not Found")
    write_warc(folder / "b.warc", [("https://pdf.com/1", b"%PDF-1.7")], kind="application/pdf")
    for i in range(4):
        place = folder / "mirror" / f"blog{i}.example.org" / "posts" / "one.html"
        place.parent.mkdir(parents=True)
        place.write_text(page(prose(40 + i)), encoding="utf-8")
    (folder / "mirror" / "style.css").write_text("p { color: red }")
    return folder


GERMAN = (
    "Der Präsident hat dem Kongress über die Lage der Union zu berichten, und er hat das in jedem"
    " Jahr getan, seit es dieses Land gibt. Die Rede wird in beiden Kammern gehört, und die"
    " Zeitungen drucken sie am nächsten Tag. Was darin steht, ist oft vergessen, bevor der Schnee"
    " geschmolzen ist, aber manche Sätze bleiben, und sie werden von denen gelesen, die nach uns"
    " kommen. Wer wissen will, wie ein Land von sich selbst gedacht hat, der liest solche Reden,"
    " eine nach der anderen, und er wird sehen, dass sich die Sorgen ändern und die Worte nicht."
)


@pytest.fixture(scope="module")
def built(crawl: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "corpus"
    build(out, crawl)
    return out


def test_what_is_taken(built: Path) -> None:
    documents = rows(built)
    assert len(documents) == 12
    texts = {row["url"]: row["text"] for row in documents}
    assert texts["https://www.site1.com/1"].split()[:5] == prose(1).split()[:5]
    assert not any(
        "Home" in text.split("\n")[0] or "rights reserved" in text for text in texts.values()
    )
    assert {row["source"] for row in documents} == {f"site{i}.com" for i in range(4)} | {
        "example.org"
    }
    assert texts["http://blog2.example.org/posts/one.html"]
    assert {row["label"] for row in documents} == {HUMAN}
    assert len({row["id"] for row in documents}) == 12


def test_nothing_is_left_out_in_silence(built: Path) -> None:
    assert reasons(built) == {
        "mirror/style.css": ("files", "neither page nor archive"),
        "https://gone.com/1": ("pages", "status 404"),
        "https://pdf.com/1": ("pages", "not HTML: application/pdf"),
        "https://blank.com/1": ("pages", "empty"),
        "https://en.wikipedia.org/wiki/Union": ("hosts", "en.wikipedia.org"),
        "https://void.com/1": ("text", "no text"),
        "https://german.de/1": ("language", "de"),
        "https://repeats.com/1": ("gopher-repetition", "dup_line_frac"),
        "https://short.com/1": ("gopher-quality", "gopher_short_doc"),
        "https://twice.com/1": ("near-duplicates", "repeats"),
    }
    assert left_out(built)[-1]["repeats"] == "a.warc.gz:9"
    counts = json.loads((built / "counts.json").read_text())
    assert counts["other_files"] == 1
    assert counts["found"] == {
        "HTML files": 4,
        "WARC files": 2,
        "records: request": 17,
        "records: response": 17,
        "records: warcinfo": 4,
    }
    came = 21
    for step in counts["steps"]:
        assert step["entered"] == came
        assert sum(step["reasons"].values()) == step["left_out"]
        came -= step["left_out"]
    assert came == sum(split["documents"] for split in counts["splits"].values()) == 12
    written = (built / "left_out.md").read_text()
    assert "| hosts | 18 | 1 | 17 |" in written
    assert "| gopher-quality | gopher_short_doc | 1 |" in written


def test_a_site_lies_in_one_split(built: Path) -> None:
    splits: dict[str, set[str]] = {}
    for row in rows(built):
        splits.setdefault(row["source"], set()).add(row["split"])
    assert all(len(names) == 1 for names in splits.values())
    assert set().union(*splits.values()) == {"train", "test"}


def test_the_documents_are_read_as_human_text(built: Path) -> None:
    whole = read_corpus(str(built / "documents"))
    assert len(whole) == 12
    train = read_corpus(str(built / "documents" / "train"))
    assert {document.source for document in train} == {
        row["source"] for row in rows(built) if row["split"] == "train"
    }


def test_the_same_bytes_however_many_tasks_work_at_once(
    crawl: Path, built: Path, tmp_path: Path
) -> None:
    both = ExecutorSettings(workers=2, tasks=2)
    build(tmp_path / "exact", crawl, duplicates="exact", executor=both)
    assert rows(tmp_path / "exact") == rows(built)
    assert left_out(tmp_path / "exact") == left_out(built)


def test_documents_do_not_depend_on_the_number_of_tasks(
    crawl: Path, built: Path, tmp_path: Path
) -> None:
    build(tmp_path / "one", crawl, executor=ExecutorSettings(workers=1, tasks=1))
    by_id = {row["id"]: row for row in rows(tmp_path / "one")}
    assert by_id == {row["id"]: row for row in rows(built)}
    assert left_out(tmp_path / "one") == left_out(built)


def test_a_finished_corpus_is_only_read(
    crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build(tmp_path / "out", crawl, quality=(), languages=())
    monkeypatch.setattr(Local, "run", lambda self: pytest.fail("done already"))
    assert build(tmp_path / "out", crawl, quality=(), languages=()) == first


def test_what_was_done_before_a_kill_is_not_done_again(
    crawl: Path, built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before each piece of work in turn, and after each task of the first."""
    ran: list[tuple[int, int]] = []
    done = Local._run_for_rank

    def run(self: Local, rank: int, local_rank: int = 0, node_rank: int = -1) -> Any:
        if not self.is_rank_completed(rank):
            if len(ran) in stops:
                stops.remove(len(ran))
                raise KeyboardInterrupt
            ran.append((self.world_size, rank))
        return done(self, rank, local_rank, node_rank)

    stops = [0, 1, 2, 8, 13, 14]
    monkeypatch.setattr(Local, "_run_for_rank", run)
    for _ in range(6):
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "out", crawl)
        assert not (tmp_path / "out").exists()
    build(tmp_path / "out", crawl)
    assert not stops
    assert len(ran) == len(set(ran)) + 2  # the 2 tasks that write documents, beside the first 2
    assert tree(tmp_path / "out") == tree(built)
    assert not (tmp_path / "out.partial").exists()


# --- URLs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://www.Example.com/a/", "http://example.com/a", True),
        ("http://example.com:80/a#b", "example.com/a", True),
        ("http://example.com/", "https://example.com/index.html", True),
        ("http://example.com/%7Ea", "http://example.com/~a", True),
        ("http://example.com/a?b=1", "http://example.com/a", False),
        ("http://example.com:81/a", "http://example.com/a", False),
        ("http://example.com/a", "http://example.com/A", False),
        ("http://sub.example.com/a", "http://example.com/a", False),
        ("http://[bad", "http://[bad", True),
    ],
)
def test_when_two_urls_are_one_page(one: str, other: str, same: bool) -> None:
    assert (normal_url(one) == normal_url(other)) is same
    assert (url_key(one) == url_key(other)) is same


def test_sites_are_registered_domains() -> None:
    assert site_of("https://a.b.example.co.uk/x") == "example.co.uk"
    assert (
        site_of("http://www.example.com/") == site_of("http://blog.example.com/") == "example.com"
    )
    assert site_of("http://192.168.0.1/x") == "192.168.0.1"
    assert site_of("http://localhost:8000/x") == "localhost"


def test_hosts_left_out_are_those_and_what_is_below_them() -> None:
    assert is_below(host_of("https://en.m.Wikipedia.org/wiki/X"), ("wikipedia.org",))
    assert is_below("wikipedia.org", ("wikipedia.org",))
    assert not is_below("notwikipedia.org", ("wikipedia.org",))


@pytest.mark.parametrize("ending", ["tsv", "jsonl"])
def test_pages_by_votes(ending: str, crawl: Path, tmp_path: Path) -> None:
    listed = [
        ("http://site0.com/0", 3),
        ("http://site1.com/1/", 2),
        ("http://site1.com/1", 7),  # listed twice: the most counts
        ("https://www.site2.com/2", 2),
        ("http://blog0.example.org/posts/one.html", 100),
        ("http://not-crawled.com/", 9),
        ("http://www.not-crawled.com", 9),
    ]
    if ending == "tsv":
        lines = ["url\tvotes", *(f"{url}\t{votes}" for url, votes in listed)]
    else:
        lines = [json.dumps({"url": url, "votes": votes}) for url, votes in listed]
    urls = tmp_path / f"urls.{ending}"
    urls.write_text("\n".join(lines) + "\n")
    counts = build(tmp_path / "out", crawl, urls=str(urls))
    assert {row["url"] for row in rows(tmp_path / "out")} == {
        "https://www.site0.com/0",
        "https://www.site1.com/1",
        "http://blog0.example.org/posts/one.html",
    }
    assert counts.urls is not None
    assert (counts.urls.rows, counts.urls.few_votes) == (7, 2)
    assert (counts.urls.pages, counts.urls.missing) == (4, 1)
    why = reasons(tmp_path / "out")
    assert why["http://not-crawled.com/"] == ("urls missing", "its page is not there")
    assert why["https://www.site2.com/2"] == ("urls", "not listed")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("u.tsv", "http://a.com\t3\nhttp://b.com\n", "line 2: must be a URL, a tab"),
        ("u.jsonl", '{"url": "http://a.com"}\n', "line 1: must be an object like"),
        ("u.jsonl", "nonsense\n", "line 1: not JSON"),
    ],
)
def test_a_bad_list_is_said(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(CorpusError, match=said):
        list(listed_urls(tmp_path / name))
    with pytest.raises(CorpusError, match="cannot be read as a list"):
        list(listed_urls(tmp_path / "none.tsv"))


# --- pages -------------------------------------------------------------------------------------


def test_a_page_says_its_own_url_where_no_folder_does(tmp_path: Path) -> None:
    head = '<link href="https://news.example.com/a" rel="canonical">'
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.html").write_text(page(prose(1), head=head))
    (tmp_path / "pages" / "b.html").write_text(page(prose(2)))
    build(tmp_path / "out", tmp_path / "pages")
    found = {row["id"]: (row["url"], row["source"]) for row in rows(tmp_path / "out")}
    assert found == {
        "a.html": ("https://news.example.com/a", "example.com"),
        "b.html": ("", "b.html"),
    }


def test_a_damaged_archive_gives_what_it_holds_and_is_said(tmp_path: Path) -> None:
    warc = write_warc(
        tmp_path / "cut.warc.gz", [(f"http://s{i}.com/", page(prose(i))) for i in range(3)]
    )
    warc.write_bytes(warc.read_bytes()[:-1500])
    build(tmp_path / "out", warc)
    assert {row["source"] for row in rows(tmp_path / "out")} >= {"s0.com", "s1.com"}
    (tmp_path / "noise.warc").write_bytes(b"nonsense\n" * 50)
    build(tmp_path / "two", warc, tmp_path / "noise.warc")
    why = reasons(tmp_path / "two")
    assert why["2/noise.warc:1"][0] == "pages"
    assert "damaged at its beginning" in why["2/noise.warc:1"][1]


def test_other_encodings(tmp_path: Path) -> None:
    text = "The café of the old naïve señor stands beside the façade. " + prose(5)
    html = page(text).encode("cp1252", "replace")
    write_warc(
        tmp_path / "a.warc", [("http://a.com/", html)], kind="text/html; charset=windows-1252"
    )
    write_warc(tmp_path / "a.warc", [("http://b.com/", page(text + prose(6)))], kind="text/html")
    write_warc(
        tmp_path / "a.warc", [("http://c.com/", page(prose(7)))], kind="text/html; charset=nonsense"
    )
    build(tmp_path / "out", tmp_path / "a.warc")
    texts = {row["source"]: row["text"] for row in rows(tmp_path / "out")}
    assert texts["a.com"].startswith("The café of the old naïve señor stands beside the façade.")
    assert texts["b.com"].startswith("The café of the old naïve señor")
    assert set(texts) == {"a.com", "b.com", "c.com"}


def test_the_filters_of_c4_and_fineweb_run_without_other_tokenizers(
    crawl: Path, tmp_path: Path
) -> None:
    text = f"Menu\n\n{prose(1)}\n\nWe use cookies to make this better for everyone.\n\nShort one."
    (tmp_path / "a.html").write_text(page(text))
    counts = build(
        tmp_path / "out", crawl, tmp_path / "a.html", quality=("c4", "fineweb"), duplicates="exact"
    )
    assert "nltk" not in sys.modules
    assert "spacy" not in sys.modules
    assert counts.lines["too_few_words"] or counts.lines["policy"]
    assert counts.steps[-1].name == "near-duplicates"
    assert counts.pairs_found == {}
    assert all(
        row["text"].strip().endswith((".", "?", "!", '"', "'")) for row in rows(tmp_path / "out")
    )


def test_words_and_sentences() -> None:
    words = Words()
    assert words.word_tokenize("Don't go, it's 5 o'clock.") == [
        *("Don't", "go", ",", "it's", "5", "o'clock", "."),
    ]
    assert words.sent_tokenize("One is here. Two is there!") == ["One is here.", "Two is there!"]
    assert words.span_tokenize("") == [(0, 0)]


# --- near-duplicates ---------------------------------------------------------------------------


def changed(text: str, share: float, draw: random.Random) -> str:
    """A text with a share of its words replaced."""
    words = text.split(" ")
    for place in draw.sample(range(len(words)), round(share * len(words))):
        words[place] = f"other{draw.randrange(10**6)}"
    return " ".join(words)


def jaccard(one: str, other: str) -> float:
    first, second = (shingles_of(WORD.findall(text.lower())) for text in (one, other))
    return len(first & second) / len(first | second)


@pytest.fixture(autouse=True)
def silent_datatrove() -> None:
    logger.disable("datatrove")


def removed(folder: Path, texts: list[str], kind: str, threshold: float) -> dict[int, int]:
    """What the steps of a build leave out of texts in two tasks: number → first of its cluster."""
    half = len(texts) // 2
    for task, part in enumerate((texts[:half], texts[half:])):
        documents = (
            Text(text, str(i), metadata={"url": "", "site": ""}) for i, text in enumerate(part)
        )
        written = TextsWriter(folder / "texts", folder / "known").run(documents, rank=task)
        near.Signatures(folder / "signatures", threshold).run(written, rank=task)
    np.save(folder / "sizes.npy", np.array([0, half, len(texts)]))
    step: Any = near.ExactlyFirstKept(
        folder / "texts", folder / "sizes.npy", folder / "removed", threshold
    )
    if kind == "minhash":
        pairs = near.pairs(folder / "signatures", folder / "pairs", threshold)
        for task in range(near.minhash(threshold).num_buckets):
            pairs.run(rank=task, world_size=near.minhash(threshold).num_buckets)
        step = near.FirstKept(folder / "pairs", folder / "sizes.npy", folder / "removed")
    step.run()
    return dict(near.removed_texts(folder / "removed"))


def test_minhash_and_the_exact_index_keep_the_same(tmp_path: Path) -> None:
    """Far from the threshold the two agree; near it MinHash errs as often as it says."""
    draw = random.Random(7)
    shares = (0.0, 0.002, 0.3, 0.02, 0.03, 0.04)
    texts = [prose(i) for i in range(120)]
    texts += [changed(text, shares[i % 6], draw) for i, text in enumerate(texts)]
    kept = {kind: removed(tmp_path / kind, texts, kind, 0.75) for kind in ("minhash", "exact")}
    assert all(first == number - 120 for each in kept.values() for number, first in each.items())
    expected, variance, sure = 0.0, 0.0, 0
    for number in range(120, 240):
        similarity = jaccard(texts[number], texts[number - 120])
        assert similarity >= 0.75 or number not in kept["exact"]
        found = near.pair_found(similarity, 0.75)
        expected, variance = expected + found, variance + found * (1 - found)
        if similarity > 0.95 or similarity < 0.4:
            assert abs(found - 0.5) > 0.499
            sure += 1
            assert (number in kept["minhash"]) is (number in kept["exact"]) is (found > 0.5)
    assert sure > 40
    assert variance > 4, "too few pairs lie near the threshold to say something of the error"
    assert abs(len(kept["minhash"]) - expected) <= 3 * variance**0.5


def test_the_first_of_a_cluster_is_kept(tmp_path: Path) -> None:
    """Through a chain too, whose ends are not alike, where the exact index keeps its third."""
    draw = random.Random(0)
    middle = changed(prose(1), 0.03, draw)
    texts = [prose(0), prose(1), middle, changed(middle, 0.03, draw), prose(2), prose(1)]
    assert jaccard(texts[1], texts[3]) < 0.6 < jaccard(texts[1], texts[2])
    assert removed(tmp_path / "a", texts, "exact", 0.6) == {2: 1, 5: 1}
    assert removed(tmp_path / "b", texts, "minhash", 0.6) == {2: 1, 3: 1, 5: 1}


def test_the_exact_index_of_a_build_is_that_of_passages(tmp_path: Path) -> None:
    draw = random.Random(3)
    texts = [changed(prose(i % 4), 0.02 * (i // 4), draw) for i in range(24)]
    documents = [Document(str(i), text, HUMAN, str(i), "train") for i, text in enumerate(texts)]
    kept, _ = drop_duplicates(documents)
    gone = removed(tmp_path, texts, "exact", 0.5)
    assert {document.id for document in kept} == {str(i) for i in range(24)} - set(map(str, gone))
    assert 0 < len(gone) < 20


# --- refusals, plan and command ------------------------------------------------------------------


def test_fewer_sites_than_splits_are_said_by_name(tmp_path: Path) -> None:
    folder = tmp_path / "crawl" / "only.example"
    folder.mkdir(parents=True)
    (folder / "a.html").write_bytes(page(prose(1)).encode())
    with pytest.raises(CorpusError, match=r"1 site\(s\) are left \(only\.example\) for 2 splits"):
        build(tmp_path / "out", tmp_path / "crawl")


def test_what_cannot_be_built_is_said(crawl: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match=r"no such file or folder.*does not download"):
        build(tmp_path / "out", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CorpusError, match="no page there"):
        build(tmp_path / "out", tmp_path / "empty")
    with pytest.raises(CorpusError, match=r"nothing stays of 6 files: left out were.*language"):
        build(tmp_path / "out", crawl, languages=("fi",))
    with pytest.raises(CorpusError, match=r"site\(s\) are left .* for 4 splits"):
        build(
            tmp_path / "other",
            crawl / "mirror",
            shares=dict.fromkeys(("pretrain", "train", "valid", "test"), 0.25),
        )
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"notes\.txt"):
        build(tmp_path / "mine", crawl)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pages = []", "at least one"),
        ('quality = ["c5"]', "c4"),
        ('duplicates = "fuzzy"', "known: minhash, exact"),
        ("threshold = 0.0", "above 0"),
        ("[shares]\ntrian = 1", "train"),
        ('[executor]\nname = "slurm"', "partition"),
        ('[executor]\nname = "spark"', "known: local, slurm, ray"),
        ("[executor]\nworker = 1", "did you mean 'workers'"),
        ("executor = 3", "must be a table"),
        ("page = 1", "did you mean 'pages'"),
    ],
)
def test_a_wrong_plan_is_said(text: str, said: str, tmp_path: Path) -> None:
    head = "" if text.startswith("pages") else 'pages = ["crawl"]\n'
    (tmp_path / "plan.toml").write_text(head + text)
    with pytest.raises(PlanError, match=said):
        read_build(tmp_path / "plan.toml")


def test_the_shipped_plan_takes_places_from_the_command_line() -> None:
    given = read_build(find_plan("webtext"), pages=("a", "b"), urls="u.tsv", workers=3)
    assert given.pages == ("a", "b")
    assert (given.urls, given.minimum_votes) == ("u.tsv", 3)
    assert given.executor == ExecutorSettings(workers=3)
    assert given.shares["pretrain"] == 0.97


def test_without_the_libraries_one_sentence_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "warcio", None)
    done = CliRunner().invoke(app, ["corpus", "build", "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, CorpusError)
    assert str(done.exception).endswith("needs the library warcio: pip install 'staged[corpus]'")
    assert libraries.NAMES == ("datatrove", "trafilatura", "warcio")


def test_the_command(crawl: Path, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'title = "Mine"\npages = ["none"]\nlanguages = []\nquality = []\n'
        "[shares]\ntrain = 0.5\ntest = 0.5\n[executor]\nworkers = 1\ntasks = 2\n"
    )
    command = ["corpus", "build", str(plan), "--pages", str(crawl / "mirror"), "--pages"]
    command += [str(crawl / "a.warc.gz"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "train:" in done.stdout
    assert "near-duplicates" in done.stdout
    facts = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
    assert facts["steps"][0] == {"name": "pages", "entered": 12, "left_out": 0, "reasons": {}}
    assert (tmp_path / "out" / "left_out.md").read_text().startswith("# Mine: what is in it")
    shown = CliRunner().invoke(app, ["corpus", "build", "webtext", "--show"]).stdout
    assert shown == find_plan("webtext").read_text()


def test_the_verb(crawl: Path, tmp_path: Path) -> None:
    seen: set[str] = set()
    plan = tmp_path / "plan.toml"
    plan.write_text('pages = ["x"]\n[shares]\ntrain = 1\n[executor]\nworkers = 1\ntasks = 1\n')
    counts = staged.build_corpus(
        plan,
        tmp_path / "out",
        pages=crawl / "a.warc.gz",
        progress=lambda what, done, total: seen.add(what),
    )
    assert counts.documents == 8
    assert seen == {"texts", "pairs of texts", "clusters", "documents"}
    assert BuildSettings(("x",)).threshold == verbs.THRESHOLD


# --- executors ---------------------------------------------------------------------------------

SBATCH = """#!{python}
# Slurm's sbatch, in miniature: every task of an array, one after another, in this very moment.
import os, re, subprocess, sys
script = open(sys.argv[-1]).read()
last = int(re.search(r"--array=0-(\\d+)", script)[1])
for task in range(last + 1):
    given = dict(os.environ, SLURM_ARRAY_TASK_ID=str(task), SLURM_NODELIST="here", RUN_OFFSET="0")
    with open({log!r}, "a") as log:
        subprocess.run(["bash", sys.argv[-1]], env=given, stdout=log, stderr=log)
print("Submitted batch job 17")
"""
SRUN = """#!/bin/bash
while [[ "$1" == -* ]]; do [[ "$1" == -n ]] && shift; shift; done
exec "$@"
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that do as Slurm's do; its log."""
    folder, log = tmp_path / "bin", tmp_path / "slurm.log"
    folder.mkdir()
    commands = {
        "sbatch": SBATCH.format(python=sys.executable, log=str(log)),
        "srun": SRUN,
        "squeue": "#!/bin/bash\n",  # no job is there any more
        "scontrol": "#!/bin/bash\necho here\n",
        "merge_stats": "#!/bin/bash\n",
    }
    for name, text in commands.items():
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    places = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    monkeypatch.setenv("PATH", places)
    return log


@pytest.mark.slow
def test_on_slurm_the_same_comes_out(crawl: Path, built: Path, tmp_path: Path, slurm: Path) -> None:
    executor = ExecutorSettings("slurm", tasks=2, partition="cpu", setup="echo set up")
    build(tmp_path / "out", crawl, executor=executor)
    assert tree(tmp_path / "out") == tree(built)
    assert "set up\n" in slurm.read_text()


def test_a_slurm_job_that_failed_is_said(
    crawl: Path, tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (slurm.parent / "bin" / "srun").write_text("#!/bin/bash\nexit 1\n")
    executor = ExecutorSettings("slurm", tasks=2, partition="cpu")
    with pytest.raises(CorpusError, match=r"texts: 2 of 2 tasks were not done.*continues"):
        build(tmp_path / "out", crawl, executor=executor)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(PlanError, match="no command sbatch here"):
        build(tmp_path / "out", crawl, executor=executor)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_on_ray_the_same_comes_out(crawl: Path, built: Path, tmp_path: Path) -> None:
    executor = ExecutorSettings("ray", tasks=2, memory_gb=1)
    build(tmp_path / "out", crawl, executor=executor)
    assert tree(tmp_path / "out") == tree(built)


def test_without_ray_one_sentence_says_what_to_install(
    crawl: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(PlanError, match=r"pip install 'staged\[ray\]'"):
        build(tmp_path / "out", crawl, executor=ExecutorSettings("ray"))
    assert not (tmp_path / "out").exists()
