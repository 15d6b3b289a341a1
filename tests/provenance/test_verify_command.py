"""`staged verify`: each conclusion on texts that a model wrote under a key, files of every kind, what
is trusted, signed reports, and each refusal.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import staged
from staged.attacks.kinds import attack
from staged.cli import app, main
from staged.detectors.contract import Verdict
from staged.errors import CorpusError, StagedError
from staged.keys.ring import open_key
from staged.model.bpe import BPE
from staged.provenance.examination import CONCLUSIONS
from tests.conftest import plug, prose
from tests.provenance.signing import made
from tests.watermarks.rings import drawn_secrets, marked_text, of_key, used_key

OPENINGS = ["The", "In the spring", "It was", "A letter"]
HUMAN = prose(5, 20)
NAMES = {
    *("id", "sha256", "conclusion", "technique", "sentence", "level", "signature", "manifest"),
    *("watermark", "content"),
}


@pytest.fixture(scope="module")
def ring(tiny: Path, bpe: BPE, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keys: alpha, with which mini-s wrote `marked.txt`; `old`,
    retired, and `lost`, revoked, each with a text in tiny's tokens.
    """
    folder = tmp_path_factory.mktemp("ring")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGED_KEYS", str(folder / "keys"))
        with drawn_secrets("alpha"):
            staged.new_key("alpha", name="Example Press")
        written = staged.sample(
            "mini-s", OPENINGS, length=120, number=4, watermark="gumbel", key="alpha"
        )
        (folder / "marked.txt").write_text(max((each.text for each in written), key=len))
        for number, name in enumerate(("old", "lost")):
            key = used_key(name, tiny, "gumbel", vocabulary=bpe.n_vocab)
            text = marked_text(bpe, of_key(key, "gumbel"), number, 120)
            (folder / f"{name}.txt").write_text(text, encoding="utf-8")
        staged.rotate_key("old")
        staged.revoke_key("lost", reason="it was on a stolen laptop")
        yield folder


@pytest.fixture(autouse=True)
def here(ring: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the marked text."""
    monkeypatch.setenv("STAGED_KEYS", str(ring / "keys"))
    monkeypatch.chdir(tmp_path)
    shutil.copy(ring / "marked.txt", tmp_path)
    Path("human.txt").write_text(HUMAN, encoding="utf-8")
    return tmp_path


def marked() -> str:
    return Path("marked.txt").read_text(encoding="utf-8")


def command(*arguments: object, given: bytes = b"") -> str:
    """What verify says, in a refusal too; no detector is asked."""
    typed = ["verify", *map(str, arguments)]
    result = CliRunner().invoke(app, typed, input=given)
    if isinstance(result.exception, StagedError):
        return f"refused: {result.exception}"
    assert result.exception is None, result.exception
    return result.stdout


def rows(*arguments: object, given: bytes = b"") -> list[dict[str, Any]]:
    shown = command(*arguments, "--no-content", "--json", given=given)
    return [json.loads(line) for line in shown.splitlines()]


def row(*arguments: object, given: bytes = b"") -> dict[str, Any]:
    [only] = rows(*arguments, given=given)
    return only


def evidence(found: dict[str, Any]) -> tuple[str, str, bool]:
    return found["conclusion"], found["signature"], found["watermark"]["found"]


def test_the_names_of_its_json_are_fixed() -> None:
    found = row("marked.txt")
    assert set(found) == NAMES
    assert {"found", "p_value", "tokens", "scheme", "key"} <= set(found["watermark"])
    assert {"verdict", "p_value"} <= set(found["content"])
    assert found["content"]["verdict"] == "not enough evidence"
    assert "no detector" in found["content"]["reason"]
    assert found["signature"] == "absent"


def test_a_text_that_a_model_wrote_under_a_key() -> None:
    found = row("marked.txt")
    mark = found["watermark"]
    assert evidence(found) == ("watermarked", "absent", True)
    assert (mark["scheme"], mark["key"], mark["model"]) == ("gumbel", "alpha", "mini-s")
    assert mark["p_value"] < 1e-12
    assert mark["tokens"] > 60
    assert found["technique"] == "watermark"
    assert "mark of key alpha" in found["sentence"]


def test_a_human_text_and_a_short_one() -> None:
    human, short = rows("human.txt", "-", given=b"The boat came in.")
    assert evidence(human) == evidence(short) == ("no evidence", "absent", False)
    assert human["watermark"]["p_value"] > 0.01
    assert "no mark of these keys" in human["watermark"]["reason"]
    assert short["watermark"]["p_value"] is None
    assert "not enough evidence" in short["watermark"]["reason"]
    assert "does not make it human" in short["sentence"]


def test_signed_within_and_beside_and_marked_too() -> None:
    staged.sign("marked.txt", "alpha", out="within.txt", embed=True, model="mini-s")
    staged.sign("human.txt", "alpha", model="mini-s")
    within, beside = rows("within.txt", "human.txt")
    assert evidence(within) == ("signed", "valid", True)
    assert evidence(beside) == ("signed", "valid", False)
    assert within["manifest"]["signer"] == beside["manifest"]["signer"] == "Example Press"
    assert within["sentence"] == "signed by Example Press, and unchanged since"
    assert within["sha256"] == row("marked.txt")["sha256"]  # of the text without the manifest
    Path("human.txt").write_text(HUMAN + " And more.", encoding="utf-8")
    assert evidence(row("human.txt")) == ("no evidence", "invalid", False)
    broken = Path("within.txt").read_text(encoding="utf-8").replace("e", "o", 1)
    Path("within.txt").write_text(broken, encoding="utf-8")
    assert evidence(row("within.txt")) == ("watermarked", "invalid", True)


def test_what_looks_machine_written_and_what_a_terminal_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The default detector, on what mini-s writes when it takes likely words."""
    [written] = staged.sample("mini-s", ["In the spring"], length=200, method="top-k-5", seed=5)
    Path("model.txt").write_text(written.text)
    shown = command("model.txt")
    assert shown.startswith("looks machine-written · model.txt · no valid signature and no mark")
    kinds = [line.split()[0] for line in shown.splitlines() if line.split(":")[0].count("  ")]
    assert [kind for kind in kinds if kind in ("signature", "watermark", "content")] == [
        *("signature", "watermark", "content")
    ]
    assert "content    machine:" in shown
    assert shown.count("proves, where it speaks,") == 3
    assert "no ground to accuse anybody" in shown


def word_file(text: str) -> bytes:
    document, buffer = docx.Document(), io.BytesIO()
    document.add_paragraph(text)
    document.save(buffer)
    return buffer.getvalue()


def page(text: str) -> bytes:
    """A page without a declared encoding, with what no reader sees and characters as entities."""
    words = text.replace("&", "&amp;").replace("<", "&lt;").replace("’", "&rsquo;")
    middle = words.find(" ", len(words) // 2)
    return (
        "<html><head><title>Not read</title><style>p {}</style></head><body>"
        f"<script>var unread = 1;</script><p>{words[:middle]}<b>{words[middle:]}</b><!-- unread -->"
        "</p><noscript>unread</noscript></body></html>"
    ).encode()


@pytest.mark.parametrize("kind", ["txt", "md", "", "html", "docx", "crlf.txt", "jsonl", "parquet"])
def test_the_mark_is_found_in_files_of_every_kind(kind: str) -> None:
    text = marked()
    made_of = {
        "html": page(text),
        "docx": word_file(text),
        "crlf.txt": text.replace("\n", "\r\n").encode(),
        "jsonl": json.dumps({"id": "a", "text": text}).encode(),
    }
    name = f"file.{kind}".rstrip(".")
    if kind == "parquet":
        pq.write_table(pa.table({"id": ["a"], "text": [text]}), name)
    else:
        Path(name).write_bytes(made_of.get(kind, text.encode()))
    found = row(name)
    assert found["id"] == (f"{name}:a" if kind in ("jsonl", "parquet") else name)
    assert evidence(found) == ("watermarked", "absent", True)
    if kind not in ("html", "docx"):  # their texts have no white space around them
        assert found["sha256"] == row("marked.txt")["sha256"]


@pytest.mark.parametrize("kind", ["html", "docx", "pdf"])
def test_signed_files_of_every_kind(kind: str) -> None:
    Path(f"a.{kind}").write_bytes(made(kind, 3))
    staged.sign(f"a.{kind}", "alpha", out=f"b.{kind}")
    assert not Path(f"b.{kind}.c2pa").exists()
    assert evidence(row(f"b.{kind}")) == ("signed", "valid", False)
    assert evidence(row("-", given=Path(f"b.{kind}").read_bytes())) == ("signed", "valid", False)
    assert row(f"b.{kind}")["watermark"]["tokens"] > 25  # its text was read


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("<p>Café — “so”</p>".encode(), "Café — “so”"),
        ('<meta charset="iso-8859-1"><p>Café</p>'.encode("latin-1"), "Café"),
        (b"<p>a &amp; b&nbsp;&lt;c&gt; &eacute;<script>x</script>d</p><style>x</style>e", None),
        (b"<p>one<br>two</p><p>th<i>r</i>ee<!-- no --> four</p>", "one\ntwo\nthree four"),
        (b"", ""),
        (b" \n", ""),
        (b"<!-- nothing -->", ""),
    ],
)
def test_what_a_reader_sees_of_a_page(data: bytes, text: str | None) -> None:
    Path("a.html").write_bytes(data)
    Path("a.txt").write_text("a & b <c> éd\ne" if text is None else text, encoding="utf-8")
    assert row("a.html")["sha256"] == row("a.txt")["sha256"]


def test_a_folder() -> None:
    folder = Path("texts")
    folder.mkdir()
    for name, data in (("a.txt", marked().encode()), ("b.html", page(HUMAN)), ("c.png", b"\x89")):
        (folder / name).write_bytes(data)
    staged.sign(folder / "a.txt", "alpha")
    found = rows("texts")
    assert [each["id"] for each in found] == ["texts/a.txt", "texts/b.html"]
    assert [each["signature"] for each in found] == ["valid", "absent"]


@pytest.mark.parametrize("data", [b"", b"\xff\x00\x80binary\x00", bytes(range(256))])
def test_files_without_a_text(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """Their signature is looked at all the same."""
    Path("a.txt").write_bytes(data)
    assert evidence(row("a.txt")) == ("no evidence", "absent", False)
    assert bool(data) == ("its text is not read: it is no text in UTF-8" in caplog.text)
    staged.sign("a.txt", "alpha")
    assert evidence(row("a.txt")) == ("signed", "valid", False)


@pytest.mark.parametrize("name", ["s.jsonl", "s.parquet"])
def test_a_manifest_beside_rows_is_of_each_of_them(name: str) -> None:
    within = staged.sign(
        "within.txt", "alpha", data=marked().encode(), out="within.txt", embed=True
    )
    texts = [HUMAN, within.place.read_text(encoding="utf-8"), ""]
    if name == "s.parquet":
        pq.write_table(pa.table({"text": texts}), name)
    else:
        Path(name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    unsigned = rows(name)
    assert [each["id"] for each in unsigned] == [f"{name}:{number}" for number in (1, 2, 3)]
    assert [each["signature"] for each in unsigned] == ["absent", "valid", "absent"]
    staged.sign(name, "alpha")
    assert [each["signature"] for each in rows(name)] == ["valid", "valid", "valid"]
    Path(f"{name}.c2pa").rename("elsewhere.c2pa")
    assert rows(name) == unsigned
    moved = rows(name, "--manifest", "elsewhere.c2pa")
    assert [each["conclusion"] for each in moved] == ["signed", "signed", "signed"]
    moved = rows(name, "--manifest", Path("within.txt"))
    assert [each["signature"] for each in moved] == ["invalid", "valid", "invalid"]


def test_a_signed_file_with_windows_line_ends() -> None:
    Path("a.txt").write_bytes(HUMAN.replace("\n", "\r\n").encode())
    staged.sign("a.txt", "alpha", out="b.txt", embed=True)
    found = row("b.txt")
    assert evidence(found) == ("signed", "valid", False)
    assert found["sha256"] == row("human.txt")["sha256"]


def test_a_manifest_that_stands_elsewhere() -> None:
    staged.sign("human.txt", "alpha", out="m.c2pa")
    assert row("human.txt")["signature"] == "absent"
    assert row("human.txt", "--manifest", "m.c2pa")["signature"] == "valid"
    assert row("-", "--manifest", "m.c2pa", given=HUMAN.encode())["signature"] == "valid"
    assert row("marked.txt", "--manifest", "m.c2pa")["signature"] == "invalid"


def test_who_is_trusted(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    staged.sign("human.txt", "alpha", out="signed.txt", embed=True)
    certificate = ring / "keys" / "alpha" / "certificate.pem"
    printed = row("signed.txt")["manifest"]["fingerprint"]
    Path("gone.txt").write_text(f"{printed} it was lost\n")
    assert row("signed.txt", "--revoked", "gone.txt")["signature"] == "revoked"
    monkeypatch.setenv("STAGED_KEYS", "elsewhere")
    assert evidence(row("signed.txt")) == ("no evidence", "untrusted", False)
    assert row("signed.txt", "--trust", certificate)["conclusion"] == "signed"
    both = row("signed.txt", "--trust", certificate, "--revoked", "gone.txt")
    assert (both["signature"], both["manifest"]["signer"]) == ("revoked", "Example Press")


@pytest.mark.parametrize("name", ["old", "lost"])
def test_keys_that_mark_no_more(ring: Path, tiny: Path, name: str) -> None:
    """A retired key's mark is found; a revoked one's with a warning."""
    shutil.copy(ring / f"{name}.txt", "a.txt")
    found = row("a.txt")
    assert evidence(found) == ("watermarked", "absent", True)
    assert found["watermark"]["key"] == name
    assert found["watermark"]["model"] == tiny.name
    assert str(tiny.parent) not in json.dumps(found)
    warned = "was revoked on 20" in found["sentence"] and "stolen laptop" in found["sentence"]
    assert warned == bool(found["watermark"]["warning"]) == (name == "lost")
    assert warned == ("stolen laptop" in command("a.txt", "--no-content"))
    assert row("a.txt", "--key", name)["watermark"]["found"]
    assert not row("a.txt", "--key", "alpha")["watermark"]["found"]


@pytest.mark.parametrize("change", ["zero_width_space", "homoglyph"])
def test_what_hides_in_characters_is_undone_before_the_test(change: str) -> None:
    hidden = attack(change, marked(), seed=1, id="a")
    assert hidden != marked()
    found = row("-", given=hidden.encode())
    assert found["watermark"] == row("marked.txt")["watermark"]


def test_a_marked_passage_within_human_text() -> None:
    text = f"{prose(1, 60)}\n\n{marked().strip()[:250]}\n\n{prose(2, 60)}"
    found = row("-", "--key", "alpha", given=text.encode())
    assert evidence(found) == ("watermarked", "absent", True)
    passage = found["watermark"]["passage"]
    inside = text[passage["start"] : passage["end"]]
    assert len(inside) > 120
    assert sum(word in marked() for word in inside.split()) > 0.9 * len(inside.split())


def test_an_imported_mark_is_read_by_the_model_that_is_named() -> None:
    config = Path("theirs.json")
    config.write_text('{"greenlist_ratio": 0.5, "bias": 2.5, "hashing_key": 42424242}')
    made = CliRunner().invoke(app, ["keys", "new", "theirs", "--import", str(config)])
    assert made.exit_code == 0, made.output
    assert "reads with --model" in command("human.txt", "--no-content", "--key", "theirs")
    named = row("human.txt", "--key", "theirs", "--model", "mini-s")
    assert (named["watermark"]["scheme"], named["watermark"]["model"]) == ("kgw", "mini-s")
    assert not named["watermark"]["found"]


def test_a_keys_secret_is_nowhere() -> None:
    shown = command("marked.txt", "--no-content") + json.dumps(row("marked.txt"))
    assert str(open_key("alpha").watermark_secret().secret) not in shown
    assert re.search(r"PRIVATE|signing\.pem", shown) is None


def test_a_signed_report(ring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = ring / "keys" / "alpha" / "certificate.pem"
    written = row("marked.txt", "--report", "r.json", "--report-key", "alpha")
    report = json.loads(Path("r.json").read_text(encoding="utf-8"))["report"]
    assert report["text"] == {"sha256": written["sha256"]}
    assert (report["conclusion"], report["technique"]) == ("watermarked", "watermark")
    assert report["watermark"]["p_value"] == written["watermark"]["p_value"]
    assert str(Path.cwd()) not in Path("r.json").read_text(encoding="utf-8")
    shown = command("r.json")
    assert shown.startswith("valid: ")
    assert "signed by Example Press" in shown
    assert written["sha256"] in shown
    assert row("r.json")["state"] == "valid"
    verdict = staged.check_report("r.json")
    assert (verdict.state, verdict.is_of(written["sha256"])) == ("valid", True)
    monkeypatch.setenv("STAGED_KEYS", "elsewhere")
    assert row("r.json")["state"] == "untrusted"
    assert row("r.json", "--trust", certificate)["state"] == "valid"
    Path("gone.txt").write_text(f"{verdict.fingerprint} it was lost\n")
    assert row("r.json", "--trust", certificate, "--revoked", "gone.txt")["state"] == "revoked"


def test_a_changed_report_does_not_hold_and_stays() -> None:
    asked = ("human.txt", "--no-content", "--report", "r.json", "--report-key", "alpha")
    for _ in range(2):  # ours is written again
        command(*asked)
    changed = Path("r.json").read_text(encoding="utf-8").replace("no evidence", "signed")
    Path("r.json").write_text(changed, encoding="utf-8")
    assert command("r.json").startswith("invalid: The report does not hold")
    assert row("r.json")["report"] is None
    assert "refused: r.json" in command(*asked)
    assert Path("r.json").read_text(encoding="utf-8") == changed


def test_for_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each examination when it is asked for; the detector's verdict is the third kind."""

    class Sure:
        name, kinds, higher_is_machine = "sure", (), True

        def score(self, texts: list[str]) -> list[float]:
            return [1.0 for _ in texts]

    plug(monkeypatch, "sure", Sure)
    given = [Path("marked.txt"), "human.txt"]
    examinations = list(staged.verify_texts(given, detector="sure", level=0.05))
    assert [each.conclusion for each in examinations] == ["watermarked", "no evidence"]
    content = examinations[1].content
    assert isinstance(content, Verdict)
    assert (content.score, content.p_value, content.fpr) == (1.0, None, 0.05)
    assert examinations[1].row()["content"]["detector"] == "sure"
    assert {each.conclusion for each in examinations} <= set(CONCLUSIONS)
    for wrong in ("", "x" * 5000):
        with pytest.raises(CorpusError, match=r"no such file|cannot be read"):
            staged.verify_texts(wrong, detector="")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.txt"], "nowhere.txt: no such file or folder"),
        (["human.txt", "nowhere.txt"], "nowhere.txt: no such file or folder"),
        ([""], "an empty name was given"),
        (["x" * 5000], "longer than a file's name can be"),
        (["/dev/zero"], "is a device"),
        (["empty"], "empty: holds no text"),
        (["bad.jsonl"], "bad.jsonl, line 1: not JSON"),
        (["human.txt", "--level", "0"], "must lie between 0 and 1"),
        (["human.txt", "--level", "nan"], "must lie between 0 and 1"),
        (["human.txt", "--key", "alfa"], "did you mean 'alpha'"),
        (["human.txt", "--trust", "human.txt"], "human.txt: the certificates are not in PEM"),
        (["human.txt", "--trust", "nowhere.pem"], "nowhere.pem: cannot be read"),
        (["human.txt", "--revoked", "nowhere"], "nowhere: cannot be read"),
        (["human.txt", "--revoked", "human.txt"], "human.txt: revocation list, line 1"),
        (["human.txt", "--manifest", "nowhere"], "nowhere: cannot be read"),
        (["human.txt", "marked.txt", "--manifest", "human.txt"], "give that file alone"),
        (["empty", "--manifest", "human.txt"], "give that file alone"),
        (["human.txt", "--detector", "evidense"], "did you mean 'evidence'"),
        (["human.txt", "--report", "r.json"], "go together"),
        (["human.txt", "--report-key", "alpha"], "go together"),
        (["human.txt", "--report", "r.json", "--report-key", "old"], "'old-2'"),
        (["human.txt", "--report", "human.txt", "--report-key", "alpha"], "is read here"),
        (["human.txt", "marked.txt", "--report", "r.json", "--report-key", "alpha"], "one text"),
    ],
)
def test_bad_input_is_one_sentence(
    arguments: list[str],
    sentence: str,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("empty").mkdir()
    Path("bad.jsonl").write_text("no\n")
    before = sorted(here.iterdir())
    quick = [] if "--detector" in arguments else ["--no-content"]
    monkeypatch.setattr(sys, "argv", ["staged", "verify", *arguments, *quick])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("staged: ")
    assert sentence in said
    assert sorted(here.iterdir()) == before
