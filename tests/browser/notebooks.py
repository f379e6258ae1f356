"""Every notebook from top to bottom in JupyterLab, in a real browser.

    python -m pip install ".[browser]"
    python tests/browser/notebooks.py [NAME …] [--out FOLDER]

A copy of notebooks, params and data is served by JupyterLab on a port of its own; headless Chromium opens each notebook, runs all cells
and waits until the kernel is idle. A screenshot of each lies in FOLDER (default: notebooks_seen). The exit code is 1 when a cell ended
in an error, or a page asked for anything that is not on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[2]
LOCAL = ("127.0.0.1", "localhost")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 3600  # seconds a notebook may take


def main() -> int:
    """Run the notebooks named, or all, and return the exit code."""
    every = sorted(p.stem for p in (ROOT / "notebooks").glob("*.ipynb"))
    parser = argparse.ArgumentParser(description="Run the notebooks in JupyterLab, in headless Chromium.")
    parser.add_argument("names", nargs="*", default=every, help=f"among {', '.join(every)}")
    parser.add_argument("--out", type=Path, default=Path("notebooks_seen"), help="folder of the screenshots")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        for folder in ("notebooks", "params", "data"):
            shutil.copytree(ROOT / folder, place / folder)
        token, port = secrets.token_hex(16), free_port()
        server = serve(place, port, token)
        try:
            address = f"http://127.0.0.1:{port}/lab/workspaces"  # one of its own for each, or all would open together
            with sync_playwright() as play:
                path = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chrome")
                browser = play.chromium.launch(executable_path=path, args=FLAGS)
                results = [
                    run(browser, f"{address}/{name}/tree/notebooks/{name}.ipynb?token={token}", name, place, chosen.out)
                    for name in chosen.names
                ]
                browser.close()
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
    return int(not all(results))


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(place: Path, port: int, token: str) -> subprocess.Popen:
    """JupyterLab over a folder, without news and without a browser of its own; returns when it answers."""
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", f"--IdentityProvider.token={token}"]
    command += [
        "--ServerApp.port_retries=0",
        "--LabApp.news_url=",
        "--LabApp.extension_manager=readonly",
        f"--ServerApp.root_dir={place}",
    ]
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    settings = place / "settings"
    # No news from the network, and the whole notebook drawn at once, so that the screenshot shows all of it.
    wanted = {
        "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
        "notebook-extension/tracker": {"windowingMode": "none"},
    }
    for name, values in wanted.items():
        path = settings / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    environment = os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(settings), "OMP_NUM_THREADS": "1"}
    log = (place / "server.log").open("w")
    server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
    for _ in range(120):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return server
        if server.poll() is not None:
            break
        time.sleep(0.5)
    raise SystemExit(f"JupyterLab did not start:\n{(place / 'server.log').read_text()[-2000:]}")


def run(browser: Browser, address: str, name: str, place: Path, out: Path) -> bool:
    """Run all cells of a notebook; whether every cell ended well and nothing was asked of the network."""
    started, asked = time.monotonic(), []
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.on("request", lambda r: asked.append(r.url) if away(r.url) else None)
    page.goto(address)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=120_000)
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=120_000)
    run_all(page)
    book = wait_until_done(page, place / "notebooks" / f"{name}.ipynb")
    faults = [o for cell in book["cells"] for o in cell.get("outputs", []) if o["output_type"] == "error"]
    see(page, out / f"{name}.png")
    page.close()
    for fault in faults:
        print(f"{name}: {fault['ename']}: {fault['evalue']}")
    for url in sorted(set(asked)):
        print(f"{name}: asked the network for {url}")
    n_cells = sum(cell["cell_type"] == "code" for cell in book["cells"])
    print(
        f"{name}: {n_cells} code cells, {len(faults)} errors, {time.monotonic() - started:.0f} s, {out / f'{name}.png'}", flush=True
    )
    return not faults and not asked


def run_all(page: Page) -> None:
    """Ask for all cells to be run; a kernel that is not yet listening runs none, so ask until one is running or has run."""
    for _ in range(10):
        page.get_by_role("menuitem", name="Run", exact=True).first.click()
        page.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
        for _ in range(5):
            time.sleep(1)
            prompts = page.locator(".jp-InputPrompt").all_inner_texts()
            if any(mark.strip(" []:") for mark in prompts):
                return
    raise SystemExit("JupyterLab ran no cell")


def away(url: str) -> bool:
    """Whether an address lies outside this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("http", "https", "ws", "wss") and parts.hostname not in LOCAL


def wait_until_done(page: Page, path: Path) -> dict:
    """Save until every code cell has run or one has failed, and hand back the notebook as saved."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(2)
        page.keyboard.press("Control+s")
        time.sleep(1)
        book = json.loads(path.read_text(encoding="utf-8"))
        code = [c for c in book["cells"] if c["cell_type"] == "code" and "".join(c["source"]).strip()]
        failed = any(o["output_type"] == "error" for c in code for o in c["outputs"])
        if failed or all(c["execution_count"] for c in code):
            return book
    raise SystemExit(f"{path.name} took more than {PATIENCE} seconds")


def see(page: Page, path: Path) -> None:
    """A picture of the whole notebook: the window grows to its height first."""
    tallest = "() => Math.max(...[...document.querySelectorAll('.jp-Notebook, .jp-Notebook *')].map(e => e.scrollHeight), 1000)"
    height = page.evaluate(tallest)
    page.set_viewport_size({"width": 1400, "height": min(int(height) + 200, 16_000)})
    time.sleep(2)
    page.evaluate("() => document.querySelectorAll('.jp-WindowedPanel-outer, .jp-Notebook').forEach(e => { e.scrollTop = 0 })")
    time.sleep(1)
    page.screenshot(path=path)


if __name__ == "__main__":
    sys.exit(main())
