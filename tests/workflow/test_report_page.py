"""Snakemake's report in a browser: what a reader sees and can click."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest
from checkouts import TARGETS
from PIL import Image

from fofg.report import style

pytestmark = pytest.mark.slow

FIGURES = {
    "Data": ["Exposure by function"],
    "Run": ["Summary", "Versions"],
    "Stage 1": ["Accuracy", "Accuracy (table)", "RFT data", "Training"],
    "Stage 2": [
        "Accuracy by level",
        "Accuracy by level (table)",
        "Failures",
        "Failures (table)",
        "Learning curves",
        "pass@k",
        "pass@k (table)",
    ],
}
#: Runs in the page: a function that can await, and whose result lands in the page's text.
PROBE = """<script>
const link = text => [...document.querySelectorAll("a")].find(a => a.textContent.trim() === text);
const pause = () => new Promise(done => setTimeout(done, 100));
window.addEventListener("load", async () => {
  await pause();
  let seen;
  try {
    seen = await (async () => { %s })();
  } catch (error) {
    seen = {error: String(error.stack)};
  }
  const place = document.createElement("pre");
  place.id = "seen";
  place.hidden = true;
  place.textContent = JSON.stringify(seen);
  document.body.append(place);
});
</script>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "google-chrome", "chromium-browser"):
        if found := shutil.which(name):
            return found
    if shutil.which("apt-get"):
        pytest.fail("no Chromium on PATH; install it: apt-get update && apt-get install -y --no-install-recommends chromium")
    pytest.skip("no Chromium on PATH, and no apt-get to install it with")


@pytest.fixture(scope="module")
def browse(finished, chromium, tmp_path_factory):
    """Opens the finished run's report, runs JavaScript in it, and gives its result and a screenshot."""
    folder = tmp_path_factory.mktemp("page")
    finished.run(*TARGETS, "--report", str(folder / "report.html"))
    page, _, end = (folder / "report.html").read_text().rpartition("</body>")

    def look(script: str):
        (folder / "probed.html").write_text(f"{page}{PROBE % script}</body>{end}")
        command = [chromium, "--headless", "--disable-gpu", "--window-size=1400,900", "--virtual-time-budget=20000"]
        command += [f"--user-data-dir={folder / 'profile'}", f"--screenshot={folder / 'page.png'}", "--dump-dom"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        done = subprocess.run([*command, f"file://{folder / 'probed.html'}"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        seen = re.search(r'<pre id="seen"[^>]*>(.*?)</pre>', done.stdout, re.DOTALL)
        assert seen, f"the page's script did not end:\n{done.stderr[-3000:]}"
        result = json.loads(html.unescape(seen[1]))
        assert "error" not in result, result
        return result, Image.open(folder / "page.png").convert("RGB")

    return look


def test_the_front_page_says_what_the_run_is_and_with_which_configuration(browse):
    seen, _ = browse("""
        const holding = text => [...document.querySelectorAll("h1, p, pre")].find(e => e.textContent.includes(text));
        return {top: holding("From f(x)").getBoundingClientRect().top, config: holding("run_dir:").textContent,
                text: document.querySelector("#app").innerText};
    """)
    assert seen["top"] >= 0, "the title lies above the page's top, where nothing scrolls to"
    assert "curricula (level1, level2, level1to2)" in seen["text"]
    for line in ("stage2:", "curricula:", "temperature: 1.0", 'base_model: "resources/tiny-base"'):
        assert line in seen["config"]


def test_every_category_of_the_menu_lists_its_figures_and_tables(browse):
    seen, _ = browse("""
        const found = {};
        for (const category of Object.keys(categories)) {
            link(category).click();
            await pause();
            found[category] = [...document.querySelectorAll("nav tbody tr")].map(row => row.innerText.trim());
            link("Results").click();
            await pause();
        }
        return found;
    """)
    assert {category: sorted(set(labels)) for category, labels in seen.items()} == FIGURES


def test_every_figure_is_an_image_that_the_browser_can_draw_and_has_a_caption(browse):
    seen, _ = browse("""
        const found = {};
        for (const [path, result] of Object.entries(results)) {
            if (!result.mime_type.startsWith("image/")) continue;
            const image = new Image();
            image.src = result.data_uri;
            await image.decode();
            found[path] = [image.naturalWidth, image.naturalHeight, result.caption.length];
        }
        return found;
    """)
    names = ("stage1_accuracy", "stage1_training", "stage1_selection", "accuracy_by_level", "learning_curves", "pass_at_k")
    assert {path.rpartition("/")[2] for path in seen} == {f"{name}.svg" for name in (*names, "failures", "exposure")}
    for path, (width, height, caption) in seen.items():
        assert width > 100 and height > 50 and caption > 40, path


def test_a_click_shows_a_figure_with_its_models_in_their_colors(browse):
    seen, screen = browse("""
        link("Stage 2").click();
        await pause();
        const row = [...document.querySelectorAll("tr")].find(r => r.innerText.trim() === "Accuracy by level");
        row.querySelector("a").click();
        await pause();
        return [...document.querySelectorAll("img")].map(image => [image.complete, image.naturalWidth]);
    """)
    assert any(complete and width > 100 for complete, width in seen)
    colors = {color for _, color in screen.getcolors(screen.width * screen.height)}
    shown = ["stage1-rft", "stage2-rft-iter1", "stage2-rl-level1", "stage2-rl-level2", "stage2-rl-level1to2"]
    for wanted in (look.color for look in style.looks(shown).values()):
        red, green, blue = (int(wanted[place : place + 2], 16) for place in (1, 3, 5))
        assert any(abs(r - red) + abs(g - green) + abs(b - blue) < 12 for r, g, b in colors), wanted
