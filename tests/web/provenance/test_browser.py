"""Where a text comes from, on the page in a real browser, also narrow and dark."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from staged.provenance.manifest.trust import trust_from
from staged.provenance.report import check_report
from staged.web.provenance.checker import open_checker
from tests.web.fake import HUMAN_TEXT, FakeExaminer
from tests.web.provenance.made import LEVEL, Made, make
from tests.web.servers import serving
from tests.web.test_browser import DESKTOP, PHONE, SCREENSHOTS, browser, opened, pytestmark

playwright = pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Page, expect  # noqa: E402

__all__ = ["browser", "pytestmark"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STAGED_KEYS", str(tmp_path_factory.mktemp("keys")))
        yield make()


@pytest.fixture(scope="module")
def address(made: Made) -> Iterator[str]:
    with serving(FakeExaminer(), checker=open_checker(key="alpha", level=LEVEL)) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    yield from opened(browser, address, viewport=DESKTOP)


def choose(page: Page, field: str, name: str, data: bytes) -> None:
    file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
    page.locator(field).set_input_files(file)


def examine(page: Page) -> None:
    page.get_by_role("button", name="Examine").click()


def test_a_signed_file_with_its_manifest_beside_it(page: Page, made: Made) -> None:
    choose(page, "#file", "essay.txt", HUMAN_TEXT.encode())
    page.get_by_text("Its manifest is a file of its own").click()
    choose(page, "#manifest", "essay.txt.c2pa", made.beside)
    examine(page)
    verdict = page.get_by_role("heading", level=1)
    expect(verdict).to_have_text("This text is signed")
    expect(verdict).to_be_focused()
    kinds = page.locator(".evidence h2")
    expect(kinds).to_have_text(
        [re.compile("Signature valid"), re.compile("Watermark not"), re.compile("Content human")]
    )
    page.get_by_label("Text", exact=True).fill("Some other text, without its manifest.")
    examine(page)  # the manifest of the last text is let go
    expect(verdict).to_have_text("No evidence of where it comes from")
    expect(kinds.first).to_have_text(re.compile("absent"))


def test_a_report_is_downloaded_and_holds(page: Page, made: Made) -> None:
    page.get_by_label("Text", exact=True).fill(made.marked)
    examine(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("This text carries a watermark")
    with page.expect_download() as download:
        page.get_by_text("Download the signed report").click()
    assert download.value.suggested_filename == "report.json"
    now = datetime.datetime.now(datetime.UTC)
    trust = trust_from(made.key.certificates())
    verdict = check_report(Path(download.value.path()).read_bytes(), trust, now)
    assert verdict.state == "valid"
    assert verdict.report is not None
    assert verdict.report["conclusion"] == "watermarked"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone(browser: Browser, address: str, made: Made, scheme: str) -> None:
    for page in opened(browser, address, viewport=PHONE, color_scheme=scheme):
        choose(page, "#file", "essay.txt", made.signed.encode())
        examine(page)
        expect(page.get_by_role("heading", level=1)).to_have_text("This text is signed")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        if SCREENSHOTS:
            page.locator(".origin").screenshot(path=Path(SCREENSHOTS) / f"origin-{scheme}.png")
