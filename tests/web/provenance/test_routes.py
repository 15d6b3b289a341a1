"""Where a text comes from, by the API and the page: signature, watermark, content, conclusion."""

from __future__ import annotations

import base64
import datetime
import hashlib
import html
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from staged.cli import app
from staged.errors import CorpusError, PlanError, ProvenanceError
from staged.provenance.manifest.trust import trust_from
from staged.provenance.report import check_report
from staged.web.app import create_app
from staged.web.provenance.checker import Checker, open_checker
from tests.web.fake import HUMAN_TEXT, MACHINE_TEXT, FakeExaminer
from tests.web.provenance.made import LEVEL, Made, make

HTML = {"accept": "text/html"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGED_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield make()


@pytest.fixture(scope="module")
def checker(made: Made) -> Checker:
    return open_checker(key="alpha", level=LEVEL)


@pytest.fixture
def client(checker: Checker) -> Iterator[TestClient]:
    with TestClient(create_app(FakeExaminer(), checker=checker)) as client:
        yield client


def verified(client: TestClient, text: str, **more: Any) -> dict[str, Any]:
    answer = client.post("/api/verify", json={"text": text, **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_signed_text(client: TestClient, made: Made) -> None:
    row = verified(client, made.signed, id="essay-7")
    assert row["id"] == "essay-7"
    assert row["signature"] == "valid"
    assert (row["conclusion"], row["technique"]) == ("signed", "metadata")
    assert row["manifest"]["signer"] == "staged key alpha"
    assert row["manifest"]["facts"]["model"] == "mini-s"
    assert row["sha256"] == hashlib.sha256(HUMAN_TEXT.encode()).hexdigest()
    assert row["content"]["verdict"] == "human-like"
    assert row["content"]["words"] == len(HUMAN_TEXT.split())


def test_a_changed_text(client: TestClient, made: Made) -> None:
    row = verified(client, made.signed.replace("garden", "harbor", 1))
    assert (row["signature"], row["conclusion"]) == ("invalid", "no evidence")


def test_a_manifest_beside_the_text(client: TestClient, made: Made) -> None:
    beside = base64.b64encode(made.beside).decode()
    for sent in (beside, "\n".join(re.findall(".{1,76}", beside))):
        assert verified(client, HUMAN_TEXT, manifest=sent)["signature"] == "valid"
    assert verified(client, HUMAN_TEXT + "!", manifest=beside)["signature"] == "invalid"
    assert verified(client, HUMAN_TEXT)["signature"] == "absent"


def test_a_marked_text(client: TestClient, made: Made) -> None:
    row = verified(client, made.marked)
    mark = row["watermark"]
    assert (mark["found"], mark["scheme"], mark["key"]) == (True, "gumbel", "alpha")
    assert mark["p_value"] < 1e-9
    assert 100 < mark["tokens"] <= 210
    assert (row["conclusion"], row["technique"]) == ("watermarked", "watermark")


def test_a_text_without_either(client: TestClient) -> None:
    row = verified(client, MACHINE_TEXT)
    assert (row["signature"], row["watermark"]["found"]) == ("absent", False)
    assert (row["conclusion"], row["technique"]) == ("looks machine-written", "forensic")
    assert verified(client, HUMAN_TEXT)["conclusion"] == "no evidence"


def test_a_file_as_the_page_sends_it(client: TestClient, made: Made) -> None:
    file = ("note.txt", HUMAN_TEXT.encode())
    answer = client.post("/api/verify", files={"file": file, "manifest": ("m.c2pa", made.beside)})
    assert (answer.json()["id"], answer.json()["signature"]) == ("note.txt", "valid")
    signed = ("note.txt", made.signed.encode())
    assert client.post("/api/verify", files={"file": signed}).json()["signature"] == "valid"


@pytest.mark.parametrize("name", ["signed.txt", "marked.txt", "lines.txt"])
def test_the_same_as_staged_verify(
    client: TestClient, made: Made, tmp_path: Any, name: str
) -> None:
    """All but what only the page's own detector says."""
    texts = {"signed.txt": made.signed, "marked.txt": made.marked}
    data = texts.get(name, "A line.\r\nAnother.\r\n").encode()
    (tmp_path / name).write_bytes(data)
    command = ["verify", str(tmp_path / name), "--json", "--no-content", "--level", str(LEVEL)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    printed = json.loads(result.stdout)
    row = client.post("/api/verify", files={"file": (name, data)}).json()
    assert list(row) == list(printed)
    for kind in ("sha256", "conclusion", "sentence", "signature", "manifest", "watermark"):
        assert row[kind] == printed[kind]


def test_staged_verify_checks_a_report(client: TestClient, made: Made, tmp_path: Any) -> None:
    answer = client.post("/api/report", json={"text": made.marked})
    (tmp_path / "report.json").write_bytes(answer.content)
    result = CliRunner().invoke(app, ["verify", str(tmp_path / "report.json")])
    assert result.output.startswith("valid")


def test_lines_of_a_pasted_text_end_as_in_a_file(client: TestClient, made: Made) -> None:
    """A form's lines end in CR and LF, whatever the text's own ended in."""
    from staged.provenance.manifest.facts import Signer
    from staged.provenance.manifest.plain_text import sign_text
    from staged.provenance.manifest.sign import new_signing
    from tests.web.provenance.made import FACTS

    signer = Signer(made.key.signing_pem(), made.key.certificates())
    signing = new_signing(datetime.datetime.now(datetime.UTC))
    text = sign_text("One line.\nAnother line of it.\n", FACTS, signer, signing)
    sent = {"text": (None, text.replace("\n", "\r\n"))}
    assert client.post("/api/verify", files=sent).json()["signature"] == "valid"


def test_a_signed_report(client: TestClient, made: Made) -> None:
    answer = client.post("/api/report", json={"text": made.marked})
    assert answer.headers["content-disposition"] == 'attachment; filename="report.json"'
    now = datetime.datetime.now(datetime.UTC)
    verdict = check_report(answer.content, trust_from(made.key.certificates()), now)
    assert verdict.state == "valid"
    assert verdict.is_of(hashlib.sha256(made.marked.encode()).hexdigest())
    assert verdict.report is not None
    assert verdict.report["technique"] == "watermark"
    assert verdict.report["watermark"]["p_value"] < 1e-9
    assert made.marked[:40] not in answer.text


def test_without_a_key_there_is_no_report(checker: Checker) -> None:
    with TestClient(create_app(FakeExaminer(), checker=replace(checker, signer=None))) as client:
        answer = client.post("/api/report", json={"text": HUMAN_TEXT})
        assert answer.status_code == 501
        assert "--key" in answer.json()["error"]
        page = client.post("/", files={"text": (None, HUMAN_TEXT)}, headers=HTML).text
    assert "signed report" not in page


def test_the_contract_of_vllms_detector(client: TestClient, made: Made) -> None:
    found = client.post("/detect", json={"text": made.marked}).json()
    assert list(found) == ["score", "p_value", "num_scored_tokens", "is_watermarked"]
    assert found["is_watermarked"] is True
    assert found["score"] > found["num_scored_tokens"]
    other = client.post("/detect", json={"text": HUMAN_TEXT}).json()
    assert other["is_watermarked"] is False
    assert 0 < other["p_value"] <= 1
    short = client.post("/detect", json={"text": "Two words."}).json()
    assert (short["p_value"], short["is_watermarked"]) == (1.0, False)
    assert client.post("/detect", content="{}").status_code == 415
    assert client.post("/detect", json={"text": " "}).status_code == 400


def test_strangers_get_a_verdict_without_numbers(made: Made) -> None:
    checker = open_checker(key="alpha", access="verdict-only", level=LEVEL)
    with TestClient(create_app(FakeExaminer(), checker=checker)) as client:
        found = client.post("/detect", json={"text": made.marked}).json()
        row = verified(client, made.marked)
        page = client.post("/", files={"text": (None, made.marked)}, headers=HTML).text
        report = client.post("/api/report", json={"text": made.marked}).json()["report"]
    assert (found["score"], found["p_value"], found["is_watermarked"]) == (None, None, True)
    mark = row["watermark"]
    assert (mark["found"], mark["p_value"], mark["score"], mark["passage"]) == (True, *[None] * 3)
    assert report["watermark"]["p_value"] is None
    for said in (json.dumps(row["watermark"]), row["sentence"], origin_of(page)):
        assert not re.search(r"\bp [<≤=0-9]|p‑value is", said), said


def origin_of(page: str) -> str:
    """What the page says of where the text comes from."""
    return page[page.index('class="verdict origin') : page.index("</section>")]


def test_without_keys_detection_says_so(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STAGED_KEYS", str(tmp_path))
    with TestClient(create_app(FakeExaminer(), checker=open_checker())) as client:
        assert client.post("/detect", json={"text": HUMAN_TEXT}).status_code == 501
        row = verified(client, HUMAN_TEXT)
    assert row["watermark"]["p_value"] is None
    assert "no key of yours" in row["watermark"]["reason"]


def test_wrong_settings_of_a_checker(made: Made, tmp_path: Any) -> None:
    with pytest.raises(PlanError, match="verdict-only"):
        open_checker(access="verdict")
    with pytest.raises(ProvenanceError, match="alpha"):
        open_checker(key="alpah")
    with pytest.raises(CorpusError):
        open_checker(trust=[tmp_path / "none.pem"])


def test_what_is_refused(client: TestClient) -> None:
    for body, status in (
        ({"text": ""}, 400),
        ({"text": "x" * 50_001}, 413),
        ({"texts": ["x"]}, 422),
        ({"text": "x", "manifest": "%"}, 422),
        ({"text": "x", "manifest": "é"}, 422),
    ):
        answer = client.post("/api/verify", json=body)
        assert (answer.status_code, set(answer.json())) == (status, {"error"}), answer.text
    assert client.post("/api/verify", content="text=x").status_code == 415


def test_the_page_says_all_three_in_order(client: TestClient, made: Made) -> None:
    page = client.post("/", files={"text": (None, made.marked)}, headers=HTML).text
    assert re.search(r"<h1 id=.verdict.*>This text carries a watermark</h1>", page)
    said = html.unescape(origin_of(page))
    places = [said.index(f"<h2>{name}") for name in ("Signature", "Watermark", "Content")]
    assert places == sorted(places)
    assert said.count("It does not prove") == 3
    assert page.count("<h1") == 1
    assert "style=" not in page
    [report] = re.findall(r'href="data:application/json;base64,([^"]*)"', page)
    now = datetime.datetime.now(datetime.UTC)
    trust = trust_from(made.key.certificates())
    assert check_report(base64.b64decode(report), trust, now).state == "valid"


def test_the_page_shows_what_a_signer_says(client: TestClient, made: Made) -> None:
    sent = {"file": ("a.txt", made.signed.encode())}
    said = origin_of(client.post("/", files=sent, headers=HTML).text)
    for what in ("This text is signed", "staged key alpha", "mini-s", "own clock"):
        assert what in said
    assert "<dt>key</dt><dd>alpha</dd>" in said


def test_the_page_warns_of_a_signature_that_is_broken(client: TestClient, made: Made) -> None:
    changed = made.signed.replace("garden", "harbor", 1)
    said = origin_of(client.post("/", files={"file": ("a.txt", changed)}, headers=HTML).text)
    assert "No evidence of where it comes from" in said
    assert re.search(r'class="warns">\s*<h2>Signature <span class="state">invalid', said)


def test_the_reference_lists_the_routes(client: TestClient) -> None:
    page = client.get("/docs").text
    for route in ("/api/verify", "/api/report", "/detect"):
        assert f"POST {route}" in page
