"""Snakemake's report in a browser."""

import html
import json
import os
import re
import shutil
import subprocess

import pytest
from checkouts import TARGETS

pytestmark = pytest.mark.slow

FIGURES = {
    "Data": ["Exposure by function"],
    "Run": ["Summary", "Versions"],
    "Stage 1": ["Accuracy", "Accuracy (table)", "RFT data", "Training"],
    "Stage 2": [
        *("Accuracy by level", "Accuracy by level (table)", "Failures", "Failures (table)", "Learning curves"),
        *("pass@k", "pass@k (table)"),
    ],
}
#: Run an async function in the page and put its result into the page's text.
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


@pytest.fixture
def chromium() -> str:
    for name in ("chromium", "google-chrome", "chromium-browser"):
        if found := shutil.which(name):
            return found
    if shutil.which("apt-get"):
        pytest.fail("no Chromium on PATH; install it: apt-get update && apt-get install -y --no-install-recommends chromium")
    pytest.skip("no Chromium on PATH, and no apt-get to install it with")


@pytest.fixture
def browse(finished, chromium, tmp_path):
    """Open the finished run's report, run JavaScript in it, and return its result."""
    folder = tmp_path
    finished.run(*TARGETS, "--report", str(folder / "report.html"))
    page, _, end = (folder / "report.html").read_text().rpartition("</body>")

    def look(script: str):
        (folder / "probed.html").write_text(f"{page}{PROBE % script}</body>{end}")
        command = [chromium, "--headless", "--disable-gpu", "--window-size=1400,900", "--virtual-time-budget=20000"]
        command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        done = subprocess.run([*command, f"file://{folder / 'probed.html'}"], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr[-3000:]
        seen = re.search(r'<pre id="seen"[^>]*>(.*?)</pre>', done.stdout, re.DOTALL)
        assert seen, f"the page's script did not end:\n{done.stderr[-3000:]}"
        result = json.loads(html.unescape(seen[1]))
        assert "error" not in result, result
        return result

    return look


def test_the_menu_lists_all_results_and_the_browser_draws_every_figure(browse):
    """By category; each figure has a caption."""
    seen = browse("""
        const found = {labels: {}, images: {}};
        for (const category of Object.keys(categories)) {
            link(category).click();
            await pause();
            found.labels[category] = [...document.querySelectorAll("nav tbody tr")].map(row => row.innerText.trim());
            link("Results").click();
            await pause();
        }
        for (const [path, result] of Object.entries(results)) {
            if (!result.mime_type.startsWith("image/")) continue;
            const image = new Image();
            image.src = result.data_uri;
            await image.decode();
            found.images[path.split("/").pop()] = [image.naturalWidth, image.naturalHeight, result.caption.length];
        }
        return found;
    """)
    assert {category: sorted(set(labels)) for category, labels in seen["labels"].items()} == FIGURES
    names = ("stage1_accuracy", "stage1_training", "stage1_selection", "accuracy_by_level", "learning_curves", "pass_at_k")
    assert seen["images"].keys() == {f"{name}.svg" for name in (*names, "failures", "exposure")}
    for name, (width, height, caption) in seen["images"].items():
        assert width > 100 and height > 50 and caption > 40, name
