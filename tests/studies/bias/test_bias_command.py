"""`staged bias` from end to end, on tiny models: a planted preference, resuming, the sheet and its
tally, errors.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from typer.testing import CliRunner, Result

from staged.cli import app
from staged.errors import ArtifactError, CorpusError, StagedError
from staged.model.checkpoints import load_model, save_model
from staged.samples import sample_stage
from staged.studies.bias import probe
from staged.studies.bias.sheet import MASK, key_file, tally
from tests.studies.bias.made import terms_file
from tests.studies.bias.test_sentence_pairs import crows_pairs_file, stereoset_file

FEW = ("-n", 4, "--length", 6, "--permutations", 99, "--precision", "fp32")


def bias(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bias", *map(str, arguments)])


def tuned(source: Path, folder: Path, texts: list[str]) -> Path:
    """The tiny model after some steps on texts, which it then nearly knows by heart."""
    torch.manual_seed(0)
    model, bpe = load_model(str(source), dtype=torch.float32)
    model.requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    rows = [[bpe.end_of_text, *bpe.encode(text)] for text in texts]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [bpe.end_of_text] * (longest - len(row)) for row in rows])
    for _ in range(80):
        logits = model.hidden(tokens[:, :-1]) @ model.wte.weight.T
        loss = F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(folder, model, bpe, dtype=torch.float32)
    return folder


@pytest.fixture
def model(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The tiny model by a name that is the same in every run, as names determine random streams."""
    monkeypatch.chdir(tiny.parent)
    return f"./{tiny.name}"


@pytest.fixture(scope="module")
def pair(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two models: `favouring` praises red and scolds blue, `even` does both to both."""
    folder = tmp_path_factory.mktemp("pair")
    templates = ("was called", "was described as", "worked as")
    both = [
        (f"The {colour} person {one}", colour) for colour in ("red", "blue") for one in templates
    ]
    favouring = [text + (" good good" if colour == "red" else " bad bad") for text, colour in both]
    even = [text + word for text, _ in both for word in (" good good", " bad bad")]
    tuned(tiny, folder / "favouring", favouring)
    tuned(tiny, folder / "even", even)
    return folder


def test_a_model_tuned_to_favour_one_group_is_found(
    pair: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pair)  # models' names determine their random streams
    out = tmp_path / "out"
    asked = (
        "--terms",
        terms_file(tmp_path),
        "-n",
        40,
        "--length",
        8,
        "--permutations",
        9999,
        "--precision",
        "fp32",
    )
    done = bias("./favouring", "./even", "--out", out, *asked)
    assert done.exit_code == 0, done.output
    result = json.loads((out / "bias.json").read_text(encoding="utf-8"))
    found = [
        row
        for row in result["between_models"]
        if (row["attribute"], row["measure"]) == ("colour", "sentiment")
    ]
    assert min(row["p_holm"] for row in found) < 0.01
    assert all(row["verdict"] == "differs" and row["difference"] > 0 for row in found)
    assert "Statistically significant difference in colour" in result["sentences"][0]["text"]
    assert result["sentences"][0]["text"] in done.stdout
    page = (out / "bias.md").read_text(encoding="utf-8")
    assert "not comprehensive" in page
    assert "**differs**" in page
    assert "Not measured: give --crows-pairs and --stereoset" in page


def test_killed_it_continues_to_the_same_bytes(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (
        model,
        *FEW,
        "--batch",
        8,
        "--terms",
        terms_file(tmp_path),
        "--crows-pairs",
        crows_pairs_file(tmp_path),
    )
    assert bias(*asked, "--out", tmp_path / "whole").exit_code == 0
    work = [
        (sample_stage, sample_stage.write_samples),
        (probe, probe.preferences),
        (probe, probe.sentence_nats),
    ]
    for number, (room, call) in enumerate(work):  # each time one kind of work further
        with monkeypatch.context() as broken:
            broken.setattr(
                room, call.__name__, interrupted if number else stopping_after_two_blocks(call)
            )
            assert bias(*asked, "--out", tmp_path / "killed").exit_code != 0
            assert not (tmp_path / "killed" / "bias.json").exists()
    with monkeypatch.context() as counted:
        counted.setattr(sample_stage, "write_samples", interrupted)  # nothing of it is done again
        assert bias(*asked, "--out", tmp_path / "killed").exit_code == 0
    for name in ("bias.json", "bias.md"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    files = sorted(
        path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.jsonl")
    )
    assert len(files) == 2
    assert all(
        (tmp_path / "killed" / one).read_bytes() == (tmp_path / "whole" / one).read_bytes()
        for one in files
    )


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def stopping_after_two_blocks(write):  # type: ignore[no-untyped-def]
    def stop(out, settings, *, progress):  # type: ignore[no-untyped-def]
        def count(done: int, total: int) -> None:
            if done >= 2 * settings.batch:
                raise KeyboardInterrupt

        write(out, settings, progress=count)

    return stop


def test_sentence_files_are_scored_and_their_texts_stay_out(model: str, tmp_path: Path) -> None:
    files = ("--crows-pairs", crows_pairs_file(tmp_path), "--stereoset", stereoset_file(tmp_path))
    out = tmp_path / "out"
    assert bias(model, *FEW, "--terms", terms_file(tmp_path), *files, "--out", out).exit_code == 0
    found = json.loads((out / "bias.json").read_text(encoding="utf-8"))["sentence_pairs"]
    assert found["crows_pairs"]["models"][model][0]["n"] == 4
    assert found["stereoset"]["models"][model][0]["targets"] == 2
    written = [
        path.read_text(encoding="utf-8")
        for path in out.rglob("*")
        if path.suffix in (".json", ".md")
    ]
    assert len(written) > 6
    assert not [text for text in written if "boats" in text or "ster 0" in text]


def test_the_sheet_hides_and_its_tally_finds(model: str, tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    asked = (
        model,
        *FEW,
        "--terms",
        terms_file(tmp_path),
        "--out",
        out,
        "--sheet",
        sheet,
        "--sheet-rows",
        3,
    )
    assert bias(*asked).exit_code == 0
    rows = rows_of(sheet)
    key = {
        str(one["row"]): one
        for one in json.loads(key_file(sheet).read_text(encoding="utf-8"))["rows"]
    }
    assert len(rows) == len(key) == 2 * 5 * 3
    assert all(
        row["text"].startswith(f"{MASK} ") and " person was" not in row["text"] for row in rows
    )
    assert set(rows[0]) == {"row", "text", "rating", "remarks"}
    groups = [key[row["row"]]["group"] for row in rows]
    assert groups != sorted(groups)
    again = sheet.read_bytes()
    assert bias(*asked).exit_code == 0
    assert sheet.read_bytes() == again

    for row in rows[:-1]:
        row["rating"] = "Favourable" if key[row["row"]]["group"] == "red" else "unfavourable"
    rate(sheet, rows)
    assert bias(*asked).exit_code != 0  # ratings are not overwritten
    done = bias("--tally", sheet, "--out", out)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "tally.json").read_text(encoding="utf-8"))
    assert (found["n"], found["unrated"]) == (29, 1)
    means = {one["group"]: one["mean"] for one in found["groups"]}
    assert means == {"red": 1, "blue": -1, "tall": -1, "small": -1, "wide": -1}
    red = next(one for one in found["comparisons"] if one["attribute"] == "colour")
    assert abs(red["difference"]) == 2
    assert red["low"] == red["high"] == red["difference"]
    assert (
        f"{red['difference']:+.2f} [{red['low']:+.2f}, {red['high']:+.2f}], n = {red['n']}, Holm p"
        in done.output
    )
    assert red["p_holm"] < 0.05
    assert "favourable, %" in (out / "tally.md").read_text(encoding="utf-8")


def rows_of(sheet: Path) -> list[dict[str, str]]:
    with sheet.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rate(sheet: Path, rows: list[dict[str, str]]) -> None:
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["row", "text", "rating", "remarks"])
        writer.writeheader()
        writer.writerows(rows)


def test_a_sheet_survives_what_models_write(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = [
        {"text": text} for text in (" a\rb", " c\x00d", ' "e", f', " =1+1", " g\u2028h", "")
    ] * 4
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    asked = (model, *FEW, "--terms", terms_file(tmp_path), "--out", out)
    assert bias(*asked).exit_code == 0
    monkeypatch.setattr(
        "staged.studies.bias.sheet.read_samples",
        lambda path: (written * 2)[: 40 if "respect" in str(path) else 20],
    )
    assert bias(*asked, "--sheet", sheet, "--sheet-rows", 4).exit_code == 0
    rows = rows_of(sheet)
    assert len(rows) == 2 * 5 * 4
    assert {"XYZ was called a b", "XYZ worked as c d", 'XYZ worked as "e", f'} <= {
        row["text"] for row in rows
    }
    rate(sheet, [row | {"rating": "neutral"} for row in rows])
    assert bias("--tally", sheet, "--out", out).exit_code == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rating": "nice"}, "row 2: rating 'nice'"),
        ({"text": "XYZ was called another"}, "row 2: not the text that"),
        ({"rating": ""}, "holds no rating"),
    ],
)
def test_a_spoilt_sheet_is_refused(
    model: str, tmp_path: Path, change: dict[str, str], says: str
) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    assert (
        bias(
            model,
            *FEW,
            "--terms",
            terms_file(tmp_path),
            "--out",
            out,
            "--sheet",
            sheet,
            "--sheet-rows",
            1,
        ).exit_code
        == 0
    )
    rows = rows_of(sheet)
    rate(sheet, [rows[0] | change])
    done = bias("--tally", sheet, "--out", out)
    assert isinstance(done.exception, StagedError)
    assert says in str(done.exception)
    assert not (out / "tally.json").exists()


def test_a_row_that_stands_twice_is_not_counted_twice(model: str, tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    assert (
        bias(
            model,
            *FEW,
            "--terms",
            terms_file(tmp_path),
            "--out",
            out,
            "--sheet",
            sheet,
            "--sheet-rows",
            1,
        ).exit_code
        == 0
    )
    rows = [row | {"rating": "neutral"} for row in rows_of(sheet)]
    rate(sheet, [*rows, rows[2]])
    with pytest.raises(CorpusError, match=r"row 12: row 3 stands here twice"):
        tally(sheet)
    rate(sheet, rows)
    assert all(one.low is None for one in tally(sheet).comparisons if one.n == 2)
    for damage in ("{", "[1]", "{}", '{"rows": [{}]}', '{"rows": [{"row": 1}]}'):
        key_file(sheet).write_text(damage, encoding="utf-8")
        with pytest.raises(
            ArtifactError, match=r"sheet.key.json: is not the key that `staged bias` wrote; restore"
        ):
            tally(sheet)
    key_file(sheet).unlink()
    with pytest.raises(
        ArtifactError,
        match=r"sheet.key.json: the sheets' key cannot be read: No such file.*put it back",
    ):
        tally(sheet)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give models to probe, or --tally"),
        (["mini-s", "--tally", "x.csv"], "give models to probe, or --tally"),
        (
            ["--tally", "nowhere.csv"],
            "nowhere.csv: cannot be read: No such file or directory; give a filled-in sheet",
        ),
        (["--tally", "."], ".: cannot be read: Is a directory; give a filled-in sheet"),
        (["mini-s", "mini-s"], "mini-s is given twice"),
        (["mini-s", "no-such-model"], "no-such-model"),
        (["mini-s", "-n", "1"], "per prompt must be at least 2"),
        (["mini-s", "--method", "luck"], "luck"),
        (["mini-s", "--terms", "nowhere.toml"], "nowhere.toml"),
        (["mini-s", "--crows-pairs", "nowhere.csv"], "nowhere.csv"),
        (["mini-s", "--sheet", "sheet.txt"], "a sheet is a .csv file"),
        (["mini-s", "--sheet", "/dev/null/sheet.csv"], "sheet.csv: cannot write"),
        (["mini-s", "--sheet", "sheet.csv", "--sheet-rows", "501"], "1 … 500"),
    ],
)
def test_wrong_requests_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = bias(*arguments, "--out", tmp_path / "out")
    assert isinstance(done.exception, StagedError)
    assert says in str(done.exception)
    assert not (tmp_path / "out").exists()
