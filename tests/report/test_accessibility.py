"""axe-core finds nothing on any page, light or dark; a locked-down viewer still shows every drawing."""

import http.server
import pathlib
import re
import threading

import pytest
from test_in_browser import ALL, browser, missing, pages  # noqa: F401  (fixtures)

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TEMPLATES = pathlib.Path(__file__).parents[2] / "templates"
LOCKED = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
"""What a common build server sends with the files that it keeps: no script, no style, no data: image."""


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        import axe_playwright_python
    except ImportError:
        missing("axe-playwright-python")
    return (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def page(browser):  # noqa: F811
    """One for all: each test goes to a file of its own with it."""
    context = browser.new_context(viewport={"width": 1400, "height": 900})
    yield context.new_page()
    context.close()


SAME_STYLES = ("chinese", "chinese-ticket", "chinese-lab", "chinese-index", "chinese-class")
"""Pages whose colours other pages have as well: in the dark one of each kind will do."""
SCHEMES = [(name, "light") for name in ALL] + [(name, "dark") for name in ALL if name not in SAME_STYLES]
ASKED = {"light": RULES, "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""In the dark what colours decide; the rest is the same, as a test below holds."""
RUN = """async asked => (await axe.run(document, {
  runOnly: asked, resultTypes: ["violations"], preload: false,
})).violations"""
"""Styles are in the pages themselves, so that nothing is to be fetched before."""


@pytest.mark.parametrize(("name", "scheme"), SCHEMES)
def test_axe_finds_nothing(page, pages, axe, name, scheme):  # noqa: F811
    page.emulate_media(color_scheme=scheme)
    page.goto((pages / f"{name}.html").as_uri())
    page.evaluate(axe)
    found = page.evaluate(RUN, ASKED[scheme])
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


@pytest.mark.parametrize("scheme", ASKED)
def test_axe_would_find_what_is_too_faint(page, axe, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_content("<html lang=en><title>x</title><main><h1 style='color:#999;background:#aaa'>Faint</h1></main>")
    page.evaluate(axe)
    assert [one["id"] for one in page.evaluate(RUN, ASKED[scheme])] == ["color-contrast"]


def test_the_dark_differs_in_colours_alone():
    sources = [path.read_text("utf-8") for path in TEMPLATES.iterdir() if path.suffix in (".css", ".jinja", ".js")]
    (dark,) = (found for text in sources for found in text.split("prefers-color-scheme")[1:])
    block = re.match(r": dark\) \{\s*:root \{([^{}]*)\}\s*\}", dark)
    assert block and block[1].count("--") >= 10
    assert re.fullmatch(r"(\s*--[a-z]+: #[0-9a-f]{6};)+\s*", block[1])


@pytest.fixture
def locked_down(pages):  # noqa: F811
    """The pages behind the headers of a locked-down viewer."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(pages))

        def end_headers(self):
            self.send_header("Content-Security-Policy", LOCKED)
            super().end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.parametrize("name", ["clean_close", "reset"])
def test_drawings_show_where_styles_and_scripts_are_forbidden(browser, locked_down, name):  # noqa: F811
    page = browser.new_page()
    page.goto(f"{locked_down}/{name}.html")
    assert page.evaluate("document.styleSheets.length") == 0 or page.evaluate(
        "getComputedStyle(document.body).backgroundColor"
    ) in ("rgba(0, 0, 0, 0)", "rgb(255, 255, 255)")
    drawings = page.locator("svg[role=img], svg[role=group]")
    assert drawings.count() >= 2
    for number in range(drawings.count()):
        box = drawings.nth(number).bounding_box()
        assert box is not None and box["width"] > 100 and box["height"] > 20
        shapes = drawings.nth(number).locator("path, rect, line, circle, text")
        fills = shapes.evaluate_all("all => all.map(one => getComputedStyle(one).fill)")
        assert len(fills) > 3
        assert len(set(fills)) > 1, "all shapes have the same colour: a black box"
    page.close()
