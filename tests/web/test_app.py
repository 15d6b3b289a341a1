"""The page and the API around a detector in closed form: what is answered, what is refused, and
that texts leave no trace.
"""

from __future__ import annotations

import logging
import pickle
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from staged.detectors.contract import HUMAN_LIKE, MACHINE_WRITTEN, NOT_ENOUGH, VERDICTS
from staged.files.extracted import Extract
from staged.web.app import create_app
from staged.web.limits import Limits
from tests.web.fake import HUMAN_TEXT, MACHINE_TEXT, FakeExaminer

HTML = {"accept": "text/html"}
JSON_TYPE = {"content-type": "application/json"}
LIMITS = Limits(
    body_bytes=200_000, text_characters=2_000, request_characters=5_000, texts=10, tokens_shown=50
)


@pytest.fixture
def examiner() -> FakeExaminer:
    return FakeExaminer()


@pytest.fixture
def client(examiner: FakeExaminer) -> Iterator[TestClient]:
    with TestClient(create_app(examiner, LIMITS)) as client:
        yield client


def post_text(client: TestClient, text: str) -> str:
    answer = client.post("/", files={"text": (None, text)}, headers=HTML)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        (MACHINE_TEXT, "This scores like machine-written text"),
        (HUMAN_TEXT, "This scores like human-written text"),
        ("Too short.", "Not enough evidence"),
    ],
)
def test_page_says_the_verdict_without_a_script(
    client: TestClient, text: str, headline: str
) -> None:
    page = post_text(client, text)
    assert re.search(f"<h1 id=.verdict.*>{headline}</h1>", page)
    assert page.index(headline) < page.index("<form")
    assert "Nobody should be accused on a score alone." in page


def test_page_shows_all_evidence(client: TestClient) -> None:
    page = post_text(client, MACHINE_TEXT + "zero\u200bwidth.")
    for what in (
        "Compared with texts this long",
        "Word by word",
        "Part by part",
        "zero-width characters removed",
        "<svg",
    ):
        assert what in page
    assert "The first 50 of" in page
    assert "style=" not in page  # the content security policy forbids it
    assert "<script>" not in page


def test_first_page_has_the_form_and_the_limits(client: TestClient) -> None:
    page = client.get("/").text
    assert "<textarea" in page
    assert "What this cannot tell" in page
    assert "verdict" not in re.sub(r"You get a verdict", "", page)


def test_markup_in_a_text_is_text(client: TestClient) -> None:
    page = post_text(client, "<script>alert(1)</script> " * 8)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


def test_text_survives_in_the_form(client: TestClient) -> None:
    text = (
        "\n\n  First, a blank line.\n\tThen a tab &amp; an entity, mostly made of harmless words.  "
    )
    page = post_text(client, text)
    inside = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", page, re.DOTALL)
    assert inside
    assert inside.group(1) == text.replace("&", "&amp;")


def test_api_answers_in_order(client: TestClient) -> None:
    texts = [MACHINE_TEXT, {"id": "mine", "text": HUMAN_TEXT}, "Three short words"]
    results = client.post("/api/detect", json={"texts": texts}).json()["results"]
    assert [one["id"] for one in results] == ["0", "mine", "2"]
    assert [one["verdict"] for one in results] == [MACHINE_WRITTEN, HUMAN_LIKE, NOT_ENOUGH]
    assert results[0]["score"] > results[1]["score"]
    assert results[2]["p_value"] is None
    keys = {
        "id",
        "score",
        "p_value",
        "verdict",
        "detector",
        "reason",
        "fpr",
        "words",
        "n_human",
        "changes",
        "kind",
        "opinions",
    }
    assert all(set(one) == keys for one in results)


def test_api_gives_the_evidence_that_is_asked_for(client: TestClient) -> None:
    one = client.post(
        "/api/detect", json={"texts": [HUMAN_TEXT], "segments": True, "tokens": True}
    ).json()["results"][0]
    cut = [one["normalized"][part["start"] : part["end"]] for part in one["segments"]]
    assert "".join(cut) == HUMAN_TEXT
    assert {part["verdict"] for part in one["segments"]} <= set(VERDICTS)
    assert one["tokens"][0]["rank"] is None
    assert one["tokens"][1]["alternatives"][0] == ["the", 0.21]


def test_api_takes_another_rate_for_one_request(client: TestClient, examiner: FakeExaminer) -> None:
    text = (
        "my man may make " + "plain words in a long enough row of eight more " * 2
    )  # p = 0.079 or so
    verdicts = {}
    for fpr in (0.3, 0.0001):
        (one,) = client.post("/api/detect", json={"texts": [text], "fpr": fpr}).json()["results"]
        assert one["fpr"] == fpr
        verdicts[fpr] = one["verdict"]
    assert verdicts[0.3] == MACHINE_WRITTEN != verdicts[0.0001]
    assert examiner.fpr == 0.01
    assert client.get("/api/health").json() == {"status": "ok", "detector": "fake", "fpr": 0.01}


def test_the_demo_of_2019(client: TestClient) -> None:
    answer = client.get("/openai-detector/?Many%20men%20make%20m+m%20caf%C3%A9")
    assert set(answer.json()) == {
        "all_tokens",
        "used_tokens",
        "real_probability",
        "fake_probability",
    }
    assert answer.json()["all_tokens"] == 5
    assert answer.json()["real_probability"] + answer.json()["fake_probability"] == pytest.approx(1)


def detect(client: TestClient, **body: object) -> tuple[int, str]:
    answer = client.post("/api/detect", json=body)
    return answer.status_code, answer.json()["error"]


def test_api_refuses_in_one_sentence(client: TestClient, examiner: FakeExaminer) -> None:
    assert detect(client, texts=[])[0] == 422
    assert detect(client, texts="one") == (422, "texts: Input should be a valid list; see /docs.")
    assert detect(client) == (422, "texts: Field required; see /docs.")
    assert detect(client, texts=["a b"], fpr=1)[0] == 422
    assert detect(client, texts=["a b"], colour=1) == (
        422,
        "colour: Extra inputs are not permitted; see /docs.",
    )
    assert detect(client, texts=["fine", " \n"]) == (
        400,
        "texts[1] is empty: there is nothing to examine.",
    )
    assert detect(client, texts=["x"] * 11)[0] == 413
    assert detect(client, texts=["x" * 2_001]) == (
        413,
        "texts[0] has 2,001 characters; at most 2,000 are examined. Send a part of it.",
    )
    assert detect(client, texts=["x" * 1_800] * 3)[0] == 413
    assert detect(client, texts=[{"id": "a" * 201, "text": "b"}])[0] == 422
    assert examiner.batches == 0


@pytest.mark.parametrize(
    ("content", "kind", "status", "words"),
    [
        (b'{"texts": ["caf\xe9"]}', "application/json", 400, "UTF-8"),
        (b'{"texts": ["\\ud800 alone"]}', "application/json", 400, "surrogate"),
        (
            b'{"texts": [{"id": "\\ud800", "text": "fine"}]}',
            "application/json",
            422,
            "texts.0.id: ",
        ),
        (b'{"texts": [', "application/json", 422, "not valid JSON"),
        (b'{"texts": ["fine"]}', "text/plain", 415, "application/json"),
        (b"texts=fine", "application/x-www-form-urlencoded", 415, "application/json"),
        (b'{"texts": ["' + b"x" * 200_000 + b'"]}', "application/json", 413, "larger than"),
        (b"[" * 100_000, "application/json", 400, "body"),
    ],
)
def test_api_refuses_what_is_not_the_json_it_wants(
    client: TestClient, content: bytes, kind: str, status: int, words: str
) -> None:
    answer = client.post("/api/detect", content=content, headers={"content-type": kind})
    assert answer.status_code == status, answer.text
    assert words in answer.json()["error"]


def test_demo_refuses(client: TestClient) -> None:
    assert client.get("/openai-detector/").status_code == 400
    assert client.get("/openai-detector/?%E9").json() == {
        "error": "The text after the question mark is not URL-encoded UTF-8."
    }
    assert client.get("/openai-detector/?" + "x" * 2_001).status_code == 413


@pytest.mark.parametrize(
    ("files", "status", "words"),
    [
        ({"text": (None, " ")}, 400, "There is no text to examine"),
        ({"text": (None, "long " * 500)}, 413, "2,500 characters; at most 2,000"),
        ({"text": (None, b"caf\xe9 au lait")}, 400, "not UTF-8"),
        ({"file": ("essay.txt", b"caf\xe9 au lait")}, 400, "not text in UTF-8"),
        ({"file": ("essay.txt", b"x" * 250_000)}, 413, "larger than"),
        ({"file": ("model.bin", b"text")}, 415, "not a text, Word or PDF file"),
    ],
)
def test_page_refuses_in_html(
    client: TestClient, files: dict[str, tuple[str | None, str | bytes]], status: int, words: str
) -> None:
    answer = client.post("/", files=files, headers=HTML)
    assert answer.status_code == status
    assert re.search(rf'role="alert"[^>]*>.*{words}', answer.text)
    assert "<form" in answer.text


def test_page_says_what_of_a_file_was_not_read(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "staged.files.extract.opened",
        lambda *_: Extract(MACHINE_TEXT, ("2 pictures", "31 hidden <words>")),
    )
    page = client.post("/", files={"file": ("a.docx", b"PK\x03\x04")}, headers=HTML).text
    assert "Not read of this file: 2 pictures, 31 hidden &lt;words&gt;." in page
    assert page.index("Not read") < page.index('id="verdict"')
    assert "Not read" not in post_text(client, MACHINE_TEXT)


def test_over_long_text_is_kept_to_be_shortened(client: TestClient) -> None:
    answer = client.post("/", files={"text": (None, "long " * 500)}, headers=HTML)
    assert "long " * 500 in answer.text


def test_page_refuses_in_json_whom_does_not_ask_for_html(client: TestClient) -> None:
    assert client.post("/", files={"text": (None, "")}).status_code == 400
    assert (
        client.post("/", content=b"x", headers={"content-type": "text/plain"})
        .json()["error"]
        .startswith("The page's form")
    )
    assert client.get("/nowhere").json() == {"error": "There is nothing at this address."}
    assert "<form" in client.get("/nowhere", headers=HTML).text
    assert client.put("/api/detect", json={}).status_code == 405


def test_damaged_form_is_refused(client: TestClient) -> None:
    whole = b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\nfine\r\n--b--\r\n'
    for kind, content in (
        ("multipart/form-data", whole),
        ("multipart/form-data; boundary=b", whole.replace(b"--b\r", b"--x\r")),
    ):
        answer = client.post("/", content=content, headers={"content-type": kind})
        assert (answer.status_code, "damaged" in answer.json()["error"]) == (400, True), answer.text


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path(self.path),)  # type: ignore[return-value]

    def __init__(self, path: Path) -> None:
        self.path = path


@pytest.mark.parametrize("name", ["detector.pt", "detector.txt", "detector.docx", "detector"])
def test_pickle_bomb_is_never_opened(client: TestClient, tmp_path: Path, name: str) -> None:
    mark = tmp_path / "exploded"
    for protocol in (0, 2, 4):
        bomb = pickle.dumps(Bomb(mark), protocol=protocol)
        client.post("/", files={"file": (name, bomb)}, headers=HTML)
        if name.endswith(".pt"):
            assert client.post("/", files={"file": (name, bomb)}).status_code == 415
    assert not mark.exists()
    pickle.loads(bomb)
    assert mark.exists()  # it was a bomb


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for path in ("/", "/api/health", "/nowhere", "/static/style.css", "/docs", "/openapi.json"):
        headers = client.get(path, headers={"origin": "http://elsewhere.example"}).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers


def test_pages_load_nothing_from_elsewhere(client: TestClient) -> None:
    for page in (client.get("/").text, client.get("/docs").text, post_text(client, HUMAN_TEXT)):
        for address in re.findall(r'(?:src|href|action)="([^"]*)"', page):
            assert address.startswith(("/", "#")), address
            if address.startswith("/static/"):
                assert client.get(address).status_code == 200
    for name in ("style.css", "page.js"):
        assert "http" not in client.get(f"/static/{name}").text


def test_documentation_describes_the_api(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {"/api/detect", "/api/health", "/openai-detector/"}
    page = client.get("/docs").text
    for word in ("POST /api/detect", "p_value", "fake_probability", "504"):
        assert word in page


def test_behind_a_proxy_that_puts_a_path_before_it(examiner: FakeExaminer) -> None:
    with TestClient(create_app(examiner, LIMITS), root_path="/tools/detector") as client:
        page = client.get("/tools/detector/").text
        addresses = re.findall(r'(?:src|href|action)="(/[^"]*)"', page)
        assert addresses
        assert all(one.startswith("/tools/detector/") for one in addresses)
        assert client.get("/tools/detector/static/style.css").status_code == 200
        assert (
            client.post("/tools/detector/api/detect", json={"texts": [HUMAN_TEXT]}).status_code
            == 200
        )
        assert client.get("/tools/detector/api/nowhere", headers=HTML).json()["error"]


def test_texts_leave_no_trace(
    client: TestClient,
    examiner: FakeExaminer,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No log line at any level holds the text, and no file is made: a temporary one would appear in
    this empty folder.
    """
    secret = "Unmistakable-xylophone"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    caplog.set_level(logging.NOTSET)
    logging.getLogger("python_multipart").setLevel(1)
    body = f"{secret} is a word that must not be kept. " * 20
    client.post("/api/detect", json={"texts": [body]})
    client.get(f"/openai-detector/?{secret}%20and%20four%20more%20words")
    client.post(
        "/", files={"file": ("essay.txt", body.encode() * 8), "text": (None, body)}, headers=HTML
    )
    for error in (ValueError(secret), RuntimeError(f"cannot score {body}")):
        examiner.error = error
        answer = client.post("/api/detect", json={"texts": [body]})
        assert answer.status_code == 500
        assert answer.json() == {
            "error": "Something went wrong in the server, and nothing was kept."
        }
    assert "ValueError while answering POST" in caplog.text
    assert "test_" not in caplog.text
    ours = [
        record for record in caplog.records if not record.name.startswith("httpx2")
    ]  # the client's own log
    assert len(ours) >= 2
    assert not [record for record in ours if secret in str(vars(record))]
    assert list(tmp_path.iterdir()) == []


def test_large_upload_stays_in_memory(
    examiner: FakeExaminer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 1 MiB the form parser would write to disk; here the temporary folder does not even
    exist.
    """
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with TestClient(create_app(examiner)) as client:
        answer = client.post(
            "/", files={"file": ("long.txt", b"many words " * 300_000)}, headers=HTML
        )
        assert "This text has 3,300,000 characters; at most 50,000 are examined." in answer.text


def test_a_form_in_another_encoding_is_refused(client: TestClient) -> None:
    """Before a part of it is decoded: some codecs take the square of a text's length."""
    content = (
        b'--b\r\nContent-Disposition: form-data; name="text-"\r\n\r\n'
        + b"x" * 100_000
        + b"\r\n--b--\r\n"
    )
    for charset in ("punycode", "utf-16", "nonsense"):
        answer = client.post(
            "/",
            content=content,
            headers={"content-type": f"multipart/form-data; boundary=b; charset={charset}"},
        )
        assert answer.status_code == 415, answer.text
    whole = content.replace(b"text-", b"text").replace(b"x" * 100_000, MACHINE_TEXT.encode())
    answer = client.post(
        "/",
        content=whole,
        headers={"content-type": 'multipart/form-data; boundary=b; charset="UTF-8"'},
    )
    assert answer.status_code == 200


def test_the_first_wrong_text_is_enough(client: TestClient) -> None:
    status, sentence = detect(client, texts=[1] * 30_000)
    assert status == 422
    assert sentence.startswith("texts.0: ")


@pytest.mark.parametrize("stays", [True, False])
def test_opening_a_file_has_a_deadline_too(
    examiner: FakeExaminer, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    release = threading.Event()
    monkeypatch.setattr(
        "staged.files.extract.opened", lambda *_: Extract(MACHINE_TEXT if release.wait(20) else "")
    )
    with TestClient(create_app(examiner, Limits(answer_s=0.1 if stays else 20.0))) as client:
        if not stays:
            release.set()
        answer = client.post("/", files={"file": ("a.pdf", b"%PDF-")})
        release.set()
    assert (answer.status_code, examiner.batches > 0) == ((504, False) if stays else (200, True))


def test_head_is_answered_as_get(client: TestClient) -> None:
    for address in ("/", "/docs", "/api/health", "/openai-detector/?text", "/static/page.js"):
        assert client.head(address).status_code == client.get(address).status_code == 200
    assert client.head("/nowhere").status_code == 404


def test_a_score_that_is_no_odds_is_no_probability(
    examiner: FakeExaminer, client: TestClient
) -> None:
    examiner.gives_odds = False
    answer = client.get("/openai-detector/?" + "words " * 100)
    assert examiner.batches == 0
    assert answer.status_code == 501
    assert (
        answer.json()["error"] == "The scores of fake are no probabilities; ask POST /api/detect."
    )


def test_a_text_without_an_id_gets_its_place(client: TestClient) -> None:
    answer = client.post(
        "/api/detect",
        json={"texts": [{"text": MACHINE_TEXT}, HUMAN_TEXT, {"id": "c", "text": HUMAN_TEXT}]},
    )
    assert [one["id"] for one in answer.json()["results"]] == ["0", "1", "c"]


@pytest.mark.parametrize(
    "encoding", ["gzip", "deflate", "br", "zstd", "GZip", "identity, gzip", "gzip, br"]
)
@pytest.mark.parametrize("path", ["/", "/api/detect"])
def test_compressed_bodies_are_refused_by_name(
    client: TestClient, path: str, encoding: str
) -> None:
    answer = client.post(
        path, content=b"\x1f\x8b" + b"x" * 100, headers={"content-encoding": encoding, **JSON_TYPE}
    )
    assert answer.status_code == 415
    named = encoding.removeprefix("identity, ")
    assert f"compressed (Content-Encoding: {named})" in answer.json()["error"]
    assert answer.headers["accept-encoding"] == "identity"


def test_identity_is_no_encoding(client: TestClient) -> None:
    question = {"texts": [MACHINE_TEXT]}
    assert (
        client.post(
            "/api/detect", json=question, headers={"content-encoding": "identity"}
        ).status_code
        == 200
    )
