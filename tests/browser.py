"""Pages in headless Chromium, without any other package."""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

#: Run an async function in the page, and tell the page around it the result.
_PROBE = """<script>
const pause = () => new Promise(done => setTimeout(done, 100));
window.addEventListener("load", async () => {
  await pause();
  let seen;
  try {
    seen = await (async () => { %s })();
  } catch (error) {
    seen = {error: String(error.stack)};
  }
  parent.postMessage(JSON.stringify(seen), "*");
});
</script>"""
#: The window of headless Chromium can't be narrow, a frame can.
_FRAME = """<!doctype html><pre id="seen"></pre><script>
addEventListener("message", event => { document.getElementById("seen").textContent = event.data; });
</script><iframe src="probed.html" width="%s" height="900" style="border: 0"></iframe>"""


def chromium() -> str:
    """Return the path of Chromium; skip the test where it can't be had."""
    for name in ("chromium", "google-chrome", "chromium-browser"):
        if found := shutil.which(name):
            return found
    if shutil.which("apt-get"):
        pytest.fail("no Chromium on PATH; install it: apt-get update && apt-get install -y --no-install-recommends chromium")
    pytest.skip("no Chromium on PATH, and no apt-get to install it with")


def look(page: str, script: str, folder: Path, width: int = 1280):
    """Open a page (HTML) from a file at a width, run the body of an async function in it, and return its result."""
    program, (start, _, end) = chromium(), page.rpartition("</body>")
    (folder / "probed.html").write_text(f"{start}{_PROBE % script}</body>{end}", encoding="utf-8")
    (folder / "frame.html").write_text(_FRAME % width)
    command = [program, "--headless", "--disable-gpu", "--window-size=1400,1000", "--virtual-time-budget=20000"]
    command += [f"--user-data-dir={folder / 'profile'}", "--dump-dom", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    done = subprocess.run([*command, f"file://{folder / 'frame.html'}"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = re.search(r'<pre id="seen">(.+?)</pre>', done.stdout, re.DOTALL)
    assert seen, f"the page's script did not end:\n{done.stderr[-3000:]}"
    result = json.loads(html.unescape(seen[1]))
    assert not (isinstance(result, dict) and "error" in result), result
    return result
