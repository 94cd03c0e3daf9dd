"""axe-core finds nothing on any page, light or dark; a locked-down viewer still shows every drawing."""

import http.server
import pathlib
import threading

import pytest
from test_in_browser import ALL, browser, missing, pages  # noqa: F401  (fixtures)

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
LOCKED = "sandbox; default-src 'none'; img-src 'self'; style-src 'self';"
"""What a common build server sends with the files that it keeps: no script, no style, no data: image."""


@pytest.fixture(scope="module")
def axe() -> str:
    try:
        import axe_playwright_python
    except ImportError:
        missing("axe-playwright-python")
    return (pathlib.Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")


SAME_STYLES = ("chinese", "chinese-ticket", "chinese-lab", "chinese-index", "chinese-class")
"""Pages whose colours other pages have as well: in the dark one of each kind will do."""
SCHEMES = [(name, "light") for name in ALL] + [(name, "dark") for name in ALL if name not in SAME_STYLES]


@pytest.mark.parametrize(("name", "scheme"), SCHEMES)
def test_axe_finds_nothing(browser, pages, axe, name, scheme):  # noqa: F811
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto((pages / f"{name}.html").as_uri())
    page.evaluate(axe)
    found = page.evaluate("rules => axe.run(document, {runOnly: rules})", RULES)["violations"]
    context.close()
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found] == []


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
