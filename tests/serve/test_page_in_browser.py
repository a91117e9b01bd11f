"""The page in a real Chromium, against real servers: what people do, what they see, what the page must never do."""

import base64
import json
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import chat, encoded, form, send, user
from openai import OpenAI
from PIL import Image

import vl2
from vl2.serve.connections import PatientServer

sync_api = pytest.importorskip("playwright.sync_api")
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium; apt-get install chromium")
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Open]:
    """visit(server, **context): the page of a server. In the end nothing went to other hosts or was logged."""
    contexts: list[Any] = []
    requests: list[str] = []
    logged: list[str] = []
    servers: list[str] = []

    def start(server: PatientServer, **options: Any) -> Any:
        context = browser.new_context(**options)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        servers.append(server.url)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", lambda message: logged.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: logged.append(str(error)))
        page.logged = logged
        page.goto(server.url)
        page.locator("#model", has_not_text="connecting").wait_for()
        return page

    yield start
    cookies = [cookie for context in contexts for cookie in context.cookies()]
    for context in contexts:
        context.close()
    assert cookies == []
    assert [url for url in requests if not url.startswith((*servers, "blob:", "data:"))] == []
    assert logged == []


def choose(page: Any, *files: Path | dict[str, Any]) -> None:
    page.locator("#file").set_input_files(list(files))
    page.locator("#frame img").first.wait_for()


def file(name: str, content: bytes, kind: str = "image/png") -> dict[str, Any]:
    return {"name": name, "mimeType": kind, "buffer": content}


def mode(page: Any, name: str) -> None:
    page.locator(".modes label", has_text=name).click()


def do(page: Any, text: str | None = None) -> Any:
    """Send, and wait for the end: the newest article."""
    count = page.locator("article").count()
    if text is not None:
        page.locator("#question").fill(text)
    page.locator("#send").click()
    return done(page, count)


def done(page: Any, number: int) -> Any:
    article = page.locator("article").nth(number)
    article.locator(".foot small").wait_for()
    return article


def copied(page: Any, article: Any, what: str) -> str:
    page.evaluate("navigator.clipboard.writeText('')")
    article.get_by_role("button", name=what).click()
    deadline = time.monotonic() + 30
    while not (text := page.evaluate("navigator.clipboard.readText()")):
        assert time.monotonic() < deadline
    return text


def run(command: str) -> Any:
    ran = subprocess.run(["bash", "-c", command], cwd=EXAMPLES, capture_output=True, text=True, timeout=60, check=True)
    return ran.stdout


def near(box: dict[str, float], image: dict[str, float], size: tuple[int, int], region: list[float]) -> bool:
    """Whether a box on the screen lies where its region lies on the image, but for its frame of 2 pixels."""
    x, y = image["width"] / size[0], image["height"] / size[1]
    left, top = image["x"] + region[0] * x - 2, image["y"] + region[1] * y - 2
    right, bottom = image["x"] + region[2] * x + 2, image["y"] + region[3] * y + 2
    seen = [box["x"], box["y"], box["x"] + box["width"], box["y"] + box["height"]]
    return bool(np.abs(np.subtract(seen, [left, top, right, bottom])).max() < 1)


def test_ask_locate_and_copy(nano_server: PatientServer, nano: OpenAI, visit: Open, receipt: bytes) -> None:
    """The answer is the API's, boxes lie on the image, and what is copied says and does the same."""
    page = visit(nano_server)
    choose(page, EXAMPLES / "receipt.png")
    asked = do(page, "What is the total?")
    whole = nano.chat.completions.create(model="nano", messages=user("What is the total?", receipt))
    assert asked.locator(".answer").inner_text() == whole.choices[0].message.content == "£30.90"
    assert json.loads(copied(page, asked, "Copy JSON"))["choices"][0]["message"]["content"] == "£30.90"
    command = copied(page, asked, "Copy curl")
    assert json.loads(run(command))["choices"][0]["message"]["content"] == "£30.90"

    mode(page, "Locate")
    located = do(page, "the total")
    reply = form(nano_server.url, "/v1/ground", receipt, phrase="the total").json
    assert len(reply["regions"]) == page.locator(".box").count() == 1
    box, image = page.locator(".box").bounding_box(), page.locator(".layer img").bounding_box()
    assert near(box, image, (320, 291), reply["regions"][0]["box"])
    assert page.locator(".box .label").inner_text() == "the total"
    assert json.loads(run(copied(page, located, "Copy curl")))["regions"] == reply["regions"]
    page.locator(".box").hover()
    assert "chosen" in page.locator(".box").get_attribute("class")


def test_document(nano_server: PatientServer, visit: Open) -> None:
    """Page by page with progress; each page can be looked at and asked about."""
    page = visit(nano_server)
    page.evaluate(
        """() => { window.said = []; const status = document.getElementById("status");
        new MutationObserver(() => said.push(status.textContent)).observe(status, {childList: true}); }"""
    )
    choose(page, EXAMPLES / "notice.pdf")
    read = do(page)
    pdf = (EXAMPLES / "notice.pdf").read_bytes()
    expected = [one["text"] for one in form(nano_server.url, "/v1/ocr", pdf).json["pages"]]
    assert read.locator(".text").all_inner_texts() == expected
    progress = dict.fromkeys(words for words in page.evaluate("said") if "of 2" in words)
    assert list(progress) == ["0 of 2 pages read", "1 of 2 pages read", "2 of 2 pages read"]
    read.get_by_role("button", name="Page 2").click()
    page.locator("#page-number", has_text="2 / 2").wait_for()
    assert json.loads(run(copied(page, read, "Copy curl")))["pages"][1]["text"] == expected[1]
    mode(page, "Ask")
    assert "notice.pdf, page 2" in page.locator("#about").inner_text()
    asked = do(page, "Read all the text in the image.")
    assert asked.locator(".answer").inner_text() == expected[1]
    assert json.loads(run(copied(page, asked, "Copy curl")))["choices"][0]["message"]["content"] == expected[1]
    mode(page, "Read")
    page.locator("#pages").fill("7")
    assert "pages 1 to 2" in do(page).locator(".error").inner_text()
    assert page.logged.pop().startswith("Failed to load resource")


def test_conversation_with_two_images(nano_server: PatientServer, visit: Open, receipt: bytes) -> None:
    page = visit(nano_server)
    choose(page, EXAMPLES / "receipt.png")
    first = do(page, "What is the total?").locator(".answer").inner_text()
    choose(page, EXAMPLES / "form.png")
    assert page.locator("#about").inner_text() == "about form.png"
    second = do(page, "What is the phone number?").locator(".answer").inner_text()
    messages = [
        *user("What is the total?", receipt),
        {"role": "assistant", "content": first},
        *user("What is the phone number?", (EXAMPLES / "form.png").read_bytes()),
    ]
    assert second == chat(nano_server.url, messages).json["choices"][0]["message"]["content"]
    assert page.locator("#strip li").count() == 2
    page.get_by_role("button", name="receipt.png").click()
    assert page.locator("#caption").inner_text().startswith("receipt.png")
    page.get_by_role("button", name="New").click()
    assert page.locator("#welcome").is_visible()
    assert page.locator("article").count() == 0


def test_drop_and_paste(scripted: PatientServer, visit: Open, receipt: bytes) -> None:
    """Regions of an answer are drawn without being asked for."""
    page = visit(scripted)
    give = """([kind, bytes, name]) => {
        const content = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)), given = new DataTransfer();
        given.items.add(new File([content], name, {type: "image/png"}));
        const event = kind === "drop" ? new DragEvent(kind, {dataTransfer: given, bubbles: true})
            : new ClipboardEvent(kind, {clipboardData: given, bubbles: true});
        document.body.dispatchEvent(event); }"""
    content = base64.b64encode(receipt).decode()
    page.evaluate(give, ["drop", content, "receipt.png"])
    page.locator("#caption", has_text="receipt.png · 320 × 291").wait_for()
    page.evaluate(give, ["paste", content, "image.png"])
    page.locator("#caption", has_text="pasted-1.png").wait_for()
    page.get_by_role("button", name="Remove receipt.png").click()
    asked = do(page, "What?")
    reply = chat(scripted.url, user("What?", receipt)).json["choices"][0]
    assert asked.locator(".answer").inner_text().startswith(reply["message"]["content"])
    assert page.locator(".box").count() == asked.locator(".regions button").count() == len(reply["regions"]) == 1


def test_copying_without_the_clipboard_api(scripted: PatientServer, visit: Open) -> None:
    """Browsers have it on https and on this machine only."""
    page = visit(scripted)
    page.evaluate("delete Navigator.prototype.clipboard")
    choose(page, EXAMPLES / "form.png")
    do(page, "What?").get_by_role("button", name="Copy curl").click()
    page.locator("#status", has_text="Copy curl: copied").wait_for()
    page.locator("#question").focus()
    page.keyboard.press("Control+V")
    assert page.locator("#question").input_value().startswith("IMAGE1=$(base64 < 'form.png'")


def test_a_removed_file_is_not_shown_again(scripted: PatientServer, visit: Open) -> None:
    page = visit(scripted)
    choose(page, EXAMPLES / "receipt.png")
    mode(page, "Locate")
    located = do(page, "the total")
    choose(page, EXAMPLES / "form.png")
    page.get_by_role("button", name="Remove receipt.png").click()
    located.locator(".regions button").hover()
    located.locator(".regions button").click()
    assert page.locator("#caption").inner_text() == "form.png · 384 × 300"
    assert page.locator(".box").count() == 0


def test_tiles(nano_server: PatientServer, visit: Open) -> None:
    """The grid that the model uses, where it lies; none above two images."""
    page = visit(nano_server)
    tall = Image.new("RGB", (500, 1400), "white")
    choose(page, file("tall.png", encoded(tall)))
    page.get_by_role("button", name="Tiles").click()
    page.locator(".tile").first.wait_for()
    grid = vl2.load().renderer.tile(tall).grid
    assert page.locator(".tile").count() == grid.rows * grid.cols > 1
    frame, last = page.locator("#frame").bounding_box(), page.locator(".tile").last.bounding_box()
    assert frame["width"] / frame["height"] == pytest.approx(grid.cols / grid.rows, rel=0.01)
    assert last["y"] - frame["y"] == pytest.approx(frame["height"] * (grid.rows - 1) / grid.rows, abs=1)
    choose(page, *(file(f"{name}.png", encoded(tall)) for name in "ab"))
    page.locator("#caption", has_text="1 × 1 + 1 = 2 tiles").wait_for()


def test_keyboard_alone(nano_server: PatientServer, visit: Open) -> None:
    page = visit(nano_server)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "What is the total?":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert "£30.90" in done(page, 0).inner_text()
    assert page.evaluate("document.activeElement.id") == "question"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    page.keyboard.type("the total")
    page.keyboard.press("Control+Enter")
    assert "Found in 1 place" in done(page, 1).inner_text()
    assert page.locator("#status").inner_text() == "Found in 1 place."
    page.locator(".regions button").focus()
    assert "chosen" in page.locator(".box").get_attribute("class")


def test_stop(make_endless: Any, serve: Any, visit: Open) -> None:
    """Escape ends an answer, and the server stops making it."""
    with serve(make_endless()) as server:
        page = visit(server)
        choose(page, EXAMPLES / "form.png")
        page.locator("#question").fill("What?")
        page.keyboard.press("Enter")
        page.locator(".answer", has_text=re.compile(r"[\s\S]{20}")).wait_for()
        assert page.locator("#stop").is_visible()
        page.keyboard.press("Escape")
        assert done(page, 0).locator("small").inner_text().startswith("stopped")
        assert page.locator("#send").is_visible()
        deadline = time.monotonic() + 30
        while b"\nvl2_requests_admitted 0.0" not in send(server.url, "/metrics").body:
            assert time.monotonic() < deadline
            page.wait_for_timeout(100)


def test_errors_in_plain_words(nano_server: PatientServer, visit: Open) -> None:
    page = visit(nano_server)
    page.locator("#file").set_input_files([file("broken.png", b"\x89PNG\r\n\x1a\n" + bytes(100))])
    notice = page.get_by_role("alert")
    notice.wait_for()
    assert notice.inner_text().startswith("broken.png: ")
    assert "amaged" in notice.inner_text()
    page.get_by_role("button", name="Close this message").click()
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'  # browsers show it, the server does not
    choose(page, file("drawing.svg", drawing, "image/svg+xml"))
    asked = do(page, "What?")
    assert "image" in asked.locator(".error").inner_text()
    assert page.locator("#question").input_value() == "What?"
    assert len(page.logged) == 2  # of the browser, about the two answers with a status of 400
    assert all("400" in page.logged.pop() for _ in range(2))


@pytest.mark.filterwarnings("ignore:no region read")
def test_api_key_and_settings(scripted_checkpoint: Path, serve: Any, visit: Open) -> None:
    """The key is asked for and not kept; settings are kept and sent."""
    with serve(lambda: vl2.load(scripted_checkpoint), api_keys=("secret",)) as server:
        page = visit(server)
        page.locator("#settings").wait_for()
        assert all("401" in page.logged.pop() for _ in range(len(page.logged)))
        page.get_by_label("API key").fill("secret")
        page.get_by_label("Longest answer").fill("3")
        page.get_by_role("button", name="Done").click()
        page.locator("#model", has_text="nano").wait_for()
        choose(page, EXAMPLES / "form.png")
        asked = do(page, "What?")
        assert "3 tokens" in asked.locator("small").inner_text()
        assert "$VL2_API_KEY" in copied(page, asked, "Copy curl")
        stored = page.evaluate("JSON.stringify(localStorage)")
        assert "secret" not in stored
        assert json.loads(json.loads(stored)["vl2"])["max_tokens"] == "3"


def test_dark_and_light(scripted: PatientServer, visit: Open) -> None:
    page = visit(scripted, color_scheme="dark")
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b)"
    assert page.evaluate(brightness) < 100
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate(brightness) > 600
    page.reload()
    assert page.evaluate(brightness) > 600


def test_phone(nano_server: PatientServer, visit: Open) -> None:
    """Nothing is wider than the screen, from the first screen to boxes on an image."""
    page = visit(nano_server, **PHONE)
    fits = "document.documentElement.scrollWidth <= 360 && innerWidth === 360"
    assert page.evaluate(fits)
    page.get_by_role("button", name="Locate the pine trees").tap()
    done(page, 0)
    assert page.locator(".box").count() == 2
    page.get_by_role("button", name="Tiles").tap()
    page.locator(".tile").wait_for()
    assert page.evaluate(fits)
    choose(page, EXAMPLES / "notice.pdf")
    page.locator("#pager").wait_for()
    assert page.evaluate(fits)
    assert page.locator("#send").bounding_box()["y"] < 740
    page.get_by_role("button", name="Settings").tap()
    assert page.evaluate(fits)
