"""An accessibility check of HTML reports: axe in headless Chromium, at two widths, as opened and with everything opened.

    python tests/browser/accessibility.py FOLDER…

Every `report.*.html` of the folders is read. Exit code 1 for a serious or critical finding, for a request to a network, for a
sort button or a detail that the keyboard does not reach, or for a table that does not sort. Needs the optional dependencies
`browser` and a Chromium: the one of the machine, or that of `playwright install chromium`.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS = {"phone": (390, 844), "desktop": (1280, 800)}
FATAL = ("serious", "critical")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
_TABS = 400  # presses of Tab after which a stop counts as out of reach

# The third click restores the order; cells that repeat the one above are shown while another order holds.
_SORT = """() => {
  const faults = [];
  const table = [...document.querySelectorAll("table.data")].find((t) => t.querySelector("th button"));
  if (!table) return faults;
  const order = () => [...table.tBodies[0].rows].map((row) => row.textContent).join("|");
  const printed = order();
  const button = table.querySelector("th button");
  const states = [];
  for (let i = 0; i < 3; i += 1) {
    button.click();
    states.push(button.closest("th").getAttribute("aria-sort"));
  }
  if (states.join() !== "ascending,descending,") faults.push(`aria-sort went ${states.join(", ")}`);
  if (order() !== printed) faults.push("the third click does not restore the printed order");
  return faults;
}"""
_SORT_ALL = "() => document.querySelectorAll('table.data').forEach((t) => t.querySelector('th button')?.click())"
_OPEN = "() => document.querySelectorAll('details').forEach((d) => { d.open = true; })"
# axe reads every cell; the rows after the first eight of a table are made like them.
_FEW = "() => document.querySelectorAll('tbody').forEach((b) => [...b.rows].slice(8).forEach((row) => row.remove()))"
_WIDER = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
_FOCUSED = """() => {
  const here = document.activeElement;
  if (here.matches("a.skip")) return "skip link";
  if (here.matches("th button")) return "sort button";
  if (here.matches("main summary")) return "details";
  return here === document.body ? "" : "other";
}"""


def main(folders: list[str]) -> int:
    """Check every report of the folders, printing what is found; 1 when something must be mended, 2 when there is no report."""
    reports = sorted(path.resolve() for folder in folders for path in Path(folder).glob("report.*.html"))
    if not reports:
        print("give folders that hold report.<language>.html", file=sys.stderr)
        return 2
    program = next(filter(None, map(shutil.which, _BROWSERS)), None)
    bad = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(_FLAGS))
        for report in reports:
            for device, size in WIDTHS.items():
                bad += _checked(browser, report, device, size)
        browser.close()
    print("nothing serious" if not bad else f"{bad} to mend")
    return 1 if bad else 0


def _checked(browser: Browser, report: Path, device: str, size: tuple[int, int]) -> int:
    """The number of faults of one report at one width, each printed."""
    context = browser.new_context(viewport={"width": size[0], "height": size[1]})
    page = context.new_page()
    faults: list[str] = []
    page.on(
        "request", lambda r: r.url.startswith(("file:", "data:", "blob:")) or faults.append(f"asks the network for {r.url[:80]}")
    )
    page.on("pageerror", lambda error: faults.append(f"script error: {error}"))
    page.on("console", lambda said: said.type == "error" and faults.append(f"console: {said.text[:120]}"))
    page.goto(report.as_uri())
    where = f"{report.parent.name}/{report.name}, {device}"
    faults += _keyboard(page)
    faults += page.evaluate(_SORT)
    over = page.evaluate(_WIDER)
    faults += [f"the page is {over} px wider than the screen"] if over > 0 else []
    page.evaluate(_FEW)
    found = _axe(page, f"{where}, as opened")
    page.evaluate(_OPEN)
    page.evaluate(_SORT_ALL)
    found += _axe(page, f"{where}, all opened and sorted")
    for fault in faults:
        print(f"  {where}: {fault}")
    context.close()
    return found + len(faults)


def _axe(page: Page, where: str) -> int:
    """Run axe, print its findings by impact, count the serious and critical ones."""
    findings = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    by_impact = Counter(dict.fromkeys(("critical", "serious", "moderate", "minor"), 0))
    by_impact.update(finding["impact"] or "minor" for finding in findings)
    print(f"{where}: " + ", ".join(f"{n} {impact}" for impact, n in by_impact.items()))
    for finding in findings:
        places = finding["nodes"]
        print(f"  {finding['impact']}: {finding['id']} ({finding['help']}), {len(places)} places, first {places[0]['html'][:160]}")
    return sum(by_impact[impact] for impact in FATAL)


def _keyboard(page: Page) -> list[str]:
    """What the Tab key should reach and does not; the skip link comes first."""
    wanted = {"skip link"}
    wanted |= {"sort button"} if page.locator("th button").count() else set()
    wanted |= {"details"} if page.locator("main summary").count() else set()
    reached: list[str] = []
    for _ in range(_TABS):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(_FOCUSED))
        if wanted <= set(reached):
            break
    faults = [f"Tab does not reach: {stop}" for stop in sorted(wanted - set(reached))]
    return faults + ([] if reached[0] == "skip link" else ["the skip link is not the first stop"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
