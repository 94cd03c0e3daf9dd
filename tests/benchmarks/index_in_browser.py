"""Times an index in headless Chromium: until it is shown and all can be found, each search, filter and sort.

    python tests/benchmarks/index_in_browser.py INDEX.html [--runs N]

Each time ends when the browser has drawn the result. Medians; nothing is asserted.
"""

from __future__ import annotations

import argparse
import shutil
from collections import defaultdict
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

DRAWN = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
SET = f"""async ([selector, value]) => {{
  const field = document.querySelector(selector), start = performance.now();
  field.value = value;
  field.dispatchEvent(new Event("input"));
  {DRAWN}
  return performance.now() - start;
}}"""
CLICK = f"""async (name) => {{
  const head = [...document.querySelectorAll("table.captures thead th button")].find((one) => one.textContent === name);
  const start = performance.now();
  head.click();
  {DRAWN}
  return performance.now() - start;
}}"""
NOW = f"async () => {{ {DRAWN} return performance.now(); }}"
SHOWN = "() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN"


def measured(page: Page, address: str) -> dict[str, float]:
    """Milliseconds of each step on a page opened anew."""
    page.goto("about:blank")
    page.goto(address)
    times = {"loaded": page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")}
    page.wait_for_selector(".filters:not([hidden])")
    times["ready to find"] = page.evaluate(NOW)
    times["shown"] = page.evaluate(SHOWN)
    times["first search"] = page.evaluate(SET, [".filters [name=q]", "reset"])
    times["second search"] = page.evaluate(SET, [".filters [name=q]", "10.0."])
    times["search cleared"] = page.evaluate(SET, [".filters [name=q]", ""])
    times["filter by severity"] = page.evaluate(SET, [".filters [name=severity]", "warning"])
    times["filter by rule"] = page.evaluate(SET, [".filters [name=rule]", "syn_retransmission"])
    times["filters cleared"] = page.evaluate(SET, [".filters [name=rule]", ""])
    times["all again"] = page.evaluate(SET, [".filters [name=severity]", ""])
    times["sort by duration"] = page.evaluate(CLICK, "Duration")
    times["sort by name"] = page.evaluate(CLICK, "Capture")
    return times


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    every: dict[str, list[float]] = defaultdict(list)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium") or shutil.which("google-chrome"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        for _ in range(args.runs):
            for name, time in measured(page, args.index.resolve().as_uri()).items():
                every[name].append(time)
        print(page.locator(".filters [role=status]").inner_text())
        browser.close()
    for name, times in every.items():
        print(f"{name:20} {median(times):8.0f} ms   (worst {max(times):.0f})")


if __name__ == "__main__":
    main()
