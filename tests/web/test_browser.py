"""The page in a real browser: Debian's Chromium without a window, driven by Playwright. Skipped
where there is none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.fake import HUMAN_TEXT, MACHINE_TEXT, FakeExaminer, ReadersExaminer
from tests.web.servers import serving

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
playwright = pytest.importorskip(
    "playwright.sync_api", reason="the browser tests need playwright: pip install playwright"
)
pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"the browser tests need {CHROMIUM}: apt-get install chromium"
)

from playwright.sync_api import Browser, Page, expect  # noqa: E402

SCREENSHOTS = os.environ.get("SCREENSHOTS")  # a folder to keep pictures in, for looking at
DESKTOP, PHONE = {"width": 1280, "height": 850}, {"width": 390, "height": 850}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(FakeExaminer()) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture(scope="module")
def readers_address() -> Iterator[str]:
    with serving(ReadersExaminer()) as port:
        yield f"http://127.0.0.1:{port}/"


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    yield from opened(browser, address, viewport=DESKTOP)


def opened(browser: Browser, address: str, **how: object) -> Iterator[Page]:
    """A page of its own; a complaint in its console, as about the content security policy, fails
    the test.
    """
    context = browser.new_context(**how)  # type: ignore[arg-type]
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith(address) else complaints.append(request.url),
    )
    page.goto(address)
    yield page
    context.close()
    assert [one for one in complaints if "status of 4" not in one] == []  # Chromium notes every 4xx


def examine(page: Page, text: str) -> None:
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Examine").click()


def test_type_and_read_the_verdict(page: Page) -> None:
    box = page.get_by_label("Text", exact=True)
    box.press_sequentially("Many men ")
    expect(page.locator("#count")).to_have_text("2 words")
    examine(page, MACHINE_TEXT + "\u200b")
    verdict = page.get_by_role("heading", level=1)
    expect(verdict).to_have_text("This scores like machine-written text")
    expect(verdict).to_be_focused()
    expect(verdict).to_be_in_viewport()
    assert page.get_by_text("human texts this long").first.is_visible()
    assert page.get_by_role("img").first.is_visible()
    assert page.get_by_text("zero-width characters removed").is_visible()
    assert page.url.endswith("/")
    examine(page, HUMAN_TEXT)
    expect(verdict).to_have_text("This scores like human-written text")


def test_drop_a_file(page: Page) -> None:
    page.evaluate(
        """text => {
            const data = new DataTransfer();
            data.items.add(new File([text], "dropped.txt", {type: "text/plain"}));
            for (const name of ["dragover", "drop"])
                document.body.dispatchEvent(new DragEvent(name, {dataTransfer: data, bubbles: true, cancelable: true}));
        }""",
        HUMAN_TEXT,
    )
    expect(page.locator("#count")).to_contain_text("dropped.txt will be examined")
    page.get_by_role("button", name="Examine").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This scores like human-written text")
    expect(page.locator(".kicker")).to_contain_text("dropped.txt")


def test_choose_a_word_file(page: Page) -> None:
    from tests.files.test_extract import word_file

    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    page.get_by_label("or a file").set_input_files(
        {"name": "essay.docx", "mimeType": word, "buffer": word_file()}
    )
    page.get_by_role("button", name="Examine").click()
    expect(page.locator(".kicker")).to_contain_text("essay.docx", timeout=20_000)
    expect(page.get_by_label("Text", exact=True)).to_have_value(
        re.compile("The river crosses the garden")
    )


def test_token_details_by_pointer(page: Page) -> None:
    examine(page, HUMAN_TEXT)
    detail = page.locator("#detail")
    expect(detail).to_be_hidden()
    page.locator("#tokens span").nth(3).hover()
    expect(detail).to_contain_text("rank")
    expect(detail).to_contain_text("likeliest: “the” 21%")


def test_keyboard_alone(page: Page) -> None:
    press = page.keyboard.press
    press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    press("Enter")
    press("Tab")
    expect(page.get_by_label("Text", exact=True)).to_be_focused()
    page.keyboard.insert_text(MACHINE_TEXT)
    press("Tab")
    press("Tab")
    expect(page.get_by_role("button", name="Examine")).to_be_focused()
    press("Enter")
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    press("Tab")  # to what it cannot tell
    press("Tab")
    expect(page.locator("#tokens span").first).to_be_focused()
    before = page.locator("#detail").inner_text()
    press("ArrowRight")
    assert page.locator("#detail").inner_text() != before
    assert page.locator("#tokens [tabindex='0']").count() == 1
    press("Tab")  # one key leaves the tokens
    expect(page.locator("summary")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(browser: Browser, address: str, scheme: str) -> None:
    for page in opened(
        browser, address, viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True
    ):
        examine(page, MACHINE_TEXT)
        expect(page.get_by_role("heading", level=1)).to_be_in_viewport()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        page.locator("#tokens span").nth(2).tap()
        expect(page.locator("#detail")).to_contain_text("rank")
        keep(page, f"phone-{scheme}")
        for name in ("button", "summary"):
            box = page.locator(name).first.bounding_box()
            assert box
            assert box["height"] >= 24


LUMINANCE = """element => {
    const channel = value => { const c = value / 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
    const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
    const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
    let behind = element, paper = [0, 0, 0, 0];
    while (behind && paper.length === 4 && paper[3] === 0) {
        paper = numbers(getComputedStyle(behind).backgroundColor);
        behind = behind.parentElement;
    }
    const [low, high] = [luminance(numbers(getComputedStyle(element).color)), luminance(paper)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(browser: Browser, address: str, scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every text, in both schemes."""
    for page in opened(browser, address, viewport=DESKTOP, color_scheme=scheme):
        examine(page, MACHINE_TEXT + HUMAN_TEXT)
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        page.locator("summary").click()
        keep(page, f"desktop-{scheme}")
        for kind in (
            "h1",
            "h2",
            "p",
            "a",
            "dt",
            "dd",
            "label",
            "button",
            "td",
            "th",
            ".soft:not(svg *)",
            ".b0",
            ".b1",
            ".b2",
            ".b3",
            ".part",
        ):
            for element in page.locator(kind).all()[:6]:
                if element.is_visible():
                    assert element.evaluate(LUMINANCE) >= 4.5, (kind, element.inner_text()[:40])


def test_every_control_has_a_name_and_headings_are_in_order(page: Page) -> None:
    examine(page, MACHINE_TEXT)
    expect(page.get_by_role("heading", level=1)).to_be_focused()
    assert page.get_by_role("heading", level=1).count() == 1
    unnamed = """() => [...document.querySelectorAll("input, textarea, button, a, section, [role=group], svg")].filter(one =>
        !(one.labels?.length || one.textContent.trim() && !one.matches("section, svg, [role=group]") || one.ariaLabel
        || document.getElementById(one.getAttribute("aria-labelledby")))).map(one => one.outerHTML.slice(0, 80))"""
    assert page.evaluate(unnamed) == []
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main").count() == 1


def test_over_long_and_empty_texts_are_said_and_mended(page: Page) -> None:
    examine(page, "")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("There is no text to examine")
    expect(alert).to_be_focused()
    box = page.get_by_label("Text", exact=True)
    box.fill("word " * 10_001)
    expect(page.locator("#count")).to_have_text("50,005 characters: 5 too many.")
    page.get_by_role("button", name="Examine").click()
    expect(alert).to_contain_text("50,005 characters; at most 50,000")
    expect(box).to_have_value("word " * 10_001)
    expect(box).to_have_attribute("aria-invalid", "")
    examine(page, HUMAN_TEXT)
    expect(alert).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("This scores like human-written text")


def test_weights_of_words_by_pointer_and_keyboard(browser: Browser, readers_address: str) -> None:
    for page in opened(browser, readers_address, viewport=DESKTOP):
        examine(page, MACHINE_TEXT + HUMAN_TEXT)
        words, detail = page.locator("#weights span"), page.locator("#weights + .detail")
        expect(detail).to_be_hidden()
        words.first.hover()
        expect(detail).to_have_text("“Many” · +0.400 · like language models")
        page.locator("#tokens span").last.focus()
        page.keyboard.press("Tab")
        expect(words.first).to_be_focused()
        page.keyboard.press("End")
        expect(detail).to_have_text("“it.” · −0.100 · like people")
        expect(page.locator("#detail")).to_contain_text(
            "rank"
        )  # each text has a place of its own for what is said
        page.keyboard.press("Tab")
        expect(page.locator("summary").first).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("cell", name="many", exact=True)).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_weights_of_words_can_be_read(browser: Browser, readers_address: str, scheme: str) -> None:
    """WCAG AA for every step of either side, and no text wider than a phone."""
    for page in opened(
        browser, readers_address, viewport=PHONE, color_scheme=scheme, is_mobile=True
    ):
        examine(page, MACHINE_TEXT + HUMAN_TEXT)
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        for summary in page.locator("summary").all():
            summary.click()
        keep(page, f"readers-phone-{scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        for kind in (
            *(f".swatch.{side}{step}" for side in "mh" for step in (1, 2, 3)),
            ".readers dt",
            ".readers dd",
            "#share",
            "td",
        ):
            element = page.locator(kind).first
            assert element.evaluate(LUMINANCE) >= 4.5, kind


def test_without_javascript(browser: Browser, address: str) -> None:
    for page in opened(browser, address, viewport=DESKTOP, java_script_enabled=False):
        examine(page, MACHINE_TEXT)
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "This scores like machine-written text"
        )
        expect(page.locator("#tokens span").nth(1)).to_have_attribute("title", re.compile("rank"))
        expect(page.locator("#detail")).to_be_hidden()
        expect(page.locator("#weights")).to_have_count(0)
        page.get_by_label("or a file").set_input_files(
            {"name": "a.txt", "mimeType": "text/plain", "buffer": HUMAN_TEXT.encode()}
        )
        page.get_by_role("button", name="Examine").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "This scores like human-written text"
        )
        examine(page, " ")
        expect(page.get_by_role("alert")).to_contain_text("There is no text to examine")


def keep(page: Page, name: str) -> None:
    if SCREENSHOTS:
        page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)
