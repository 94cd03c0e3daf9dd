"""The first page of an index in a real browser: it finds, filters and sorts all captures, whatever page they are on."""

import pytest
from msgspec.structs import replace
from test_in_browser import browser  # noqa: F401  (a fixture)

from pcapreport.batch.index import IndexEntry, worst_first
from pcapreport.batch.index_pages import Look, index_pages
from pcapreport.report.model import RuleCount, Talker

SIDES = ("client", "server", "none")
COUNT = 500


def entry(n: int) -> IndexEntry:
    bad = n % 5 == 0
    return IndexEntry(
        file=f"site-{n % 3}/{n:03} & <more>.pcap",
        status="ok",
        report=f"site-{n % 3}/{n:03}.html",
        severity="error" if bad else "note" if n % 2 else None,
        findings={"error": 1} if bad else {"note": 2} if n % 2 else {},
        rules={"reset": RuleCount(findings=1, severity="error")} if bad else {},
        side=SIDES[n % 3],
        verdict=f"Verdict number {n}.",
        connections=n,
        round_trip_s=None if n % 4 == 0 else n / 1000,
        duration_s=float(n),
        start=f"2024-03-01T10:20:{n % 60:02}.000000000Z",
        talkers=[
            Talker(address=f"10.0.{n // 256}.{n % 256}", connections=1, packets=1, sent_bytes=1, received_bytes=1)
        ],
    )


ENTRIES = [
    *map(entry, range(COUNT - 1)),
    IndexEntry(file="bad.pcap", status="unreadable", message="bad.pcap: byte 0: no capture"),
]


@pytest.fixture(scope="module", params=[1_000, 50], ids=["on one page", "on ten pages"])
def folder(request, tmp_path_factory):
    made = tmp_path_factory.mktemp("index")
    for name, page in index_pages(worst_first(ENTRIES), Look(rows=request.param)):
        (made / name).write_text(page, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def watched(browser):  # noqa: F811
    """A page, and what it complains of; one for all tests, as a new one costs more than most of them."""
    opened = browser.new_page(viewport={"width": 1400, "height": 900})
    problems = []
    opened.on("console", lambda message: problems.append(message.text))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    yield opened, problems
    opened.close()


@pytest.fixture
def page(watched, folder):
    opened, problems = watched
    opened.goto("about:blank")  # so that nothing is left of what was filled in before
    del problems[:]
    opened.goto((folder / "index.html").as_uri())
    opened.wait_for_selector(".filters:not([hidden])")
    yield opened
    assert problems == []


def files(page) -> list[str]:
    return [name.split(" ")[0] for name in page.locator("table.captures tbody th").all_inner_texts()]


def status(page) -> str:
    return page.locator(".filters [role=status]").inner_text()


def test_a_capture_is_found_by_name_verdict_and_address(page):
    for sought in ("site-2/488", "NUMBER 488.", "10.0.1.232", "488 & <more"):
        page.get_by_role("searchbox").fill(sought)
        assert (files(page), status(page)) == (["site-2/488"], "1 of 500 captures")
        assert page.locator("table.captures tbody a").first.get_attribute("href") == "site-2/488.html"
    page.get_by_role("searchbox").fill("no such thing")
    assert (files(page), status(page)) == ([], "0 of 500 captures")


def test_filters_hold_together_and_are_cleared_together(page):
    page.get_by_label("Worst finding").select_option("error")
    assert status(page) == "100 of 500 captures"
    page.get_by_label("Side").select_option("server")
    assert status(page) == "33 of 500 captures"
    page.locator("select[name=rule]").select_option("reset")
    page.get_by_role("searchbox").fill("site-1")
    assert status(page) == "33 of 500 captures"
    page.get_by_role("button", name="Clear").click()
    assert status(page) == "500 of 500 captures"
    page.get_by_label("Status").select_option("unreadable")
    assert files(page) == ["bad.pcap"]


def test_sorting_takes_in_all_captures_and_leaves_what_is_not_known_to_the_end(page):
    head = page.get_by_role("button", name="Round trip")
    head.click()
    assert files(page)[0] == "site-0/498" and page.locator("th[aria-sort=descending]").inner_text().startswith("Round")
    head.click()
    assert files(page)[0] == "site-1/001"
    page.get_by_role("searchbox").fill("site-0/00")
    assert [name[-3:] for name in files(page)] == ["003", "006", "009", "000"]
    page.locator("table.captures thead").get_by_role("button", name="Capture").click()
    assert files(page) == sorted(files(page)) and len(files(page)) == 4


def test_the_address_keeps_the_filter_and_the_order(page, folder, browser):  # noqa: F811
    page.get_by_label("Worst finding").select_option("note")
    page.get_by_role("searchbox").fill("site-1/1")
    page.get_by_role("button", name="Duration").click()
    shown, address = files(page), page.url
    assert "severity=note" in address and len(shown) > 3
    other = browser.new_page()
    other.goto(address)
    other.wait_for_selector(".filters:not([hidden])")
    assert (files(other), status(other)) == (shown, status(page))
    assert other.get_by_role("searchbox").input_value() == "site-1/1"
    other.close()


def test_links_within_the_page_set_the_filter(page):
    page.get_by_role("searchbox").fill("site-1")
    page.locator("table.heatmap thead a", has_text="reset").first.click()
    page.wait_for_function("document.querySelector('.filters [name=q]').value === ''")
    assert status(page) == "100 of 500 captures" and page.get_by_role("searchbox").input_value() == ""
    page.locator("table.hosts tbody a").first.click()
    page.wait_for_function("document.querySelector('.filters [name=q]').value !== ''")
    assert 1 <= len(files(page)) <= 20 and page.get_by_role("searchbox").input_value().startswith("10.0.")


def test_an_address_with_nonsense_shows_all(browser, folder):  # noqa: F811
    page = browser.new_page()
    page.goto((folder / "index.html").as_uri() + "#severity=%22%3E&side=server&rule=__proto__&sort=99&q=")
    page.wait_for_selector(".filters:not([hidden])")
    assert status(page).startswith("166 of 500") and page.get_by_label("Side").input_value() == "server"
    page.close()


def test_few_rows_are_shown_at_first_and_more_on_demand(page):
    assert len(files(page)) == 50
    page.get_by_role("button", name="Show 450 more").click()
    shown = files(page)
    assert len(shown) == len(set(shown)) == 500
    assert shown == [one.file.split(" ")[0] for one in worst_first(ENTRIES)]
    assert page.get_by_role("button", name="more", exact=False).count() == 0


def test_rows_are_those_of_the_pages(page, folder, browser):  # noqa: F811
    second = folder / "index-2.html"
    if not second.exists():
        pytest.skip("there is one page")
    page.get_by_role("button", name="Show 450 more").click()
    whole = page.locator("table.captures tbody tr").evaluate_all("rows => rows.map(row => row.outerHTML)")
    other = browser.new_page()
    other.goto(second.as_uri())
    rows = other.locator("table.captures tbody tr").evaluate_all("rows => rows.map(row => row.outerHTML)")
    other.close()
    assert rows == whole[50:100]


def test_without_scripts_the_captures_of_the_page_and_the_way_to_the_others_are_there(browser, folder):  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    many = (folder / "index-2.html").exists()
    assert len(files(page)) == (50 if many else 500)
    assert not page.locator(".filters").is_visible()
    assert page.locator("nav.pages a").count() == (18 if many else 0)
    context.close()


def test_an_index_of_one_capture_without_findings_is_simple(browser, tmp_path):  # noqa: F811
    (name, text), *_ = index_pages([replace(entry(2), rules={}, severity=None, findings={})], Look())
    (tmp_path / name).write_text(text, encoding="utf-8")
    page = browser.new_page()
    page.goto((tmp_path / name).as_uri())
    page.wait_for_selector(".filters:not([hidden])")
    assert page.locator(".filters select").count() == 0 and status(page) == "1 of 1 captures"
    page.close()
