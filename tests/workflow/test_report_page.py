"""Snakemake's report in a browser."""

import pytest
from browser import look
from checkouts import TARGETS

pytestmark = pytest.mark.slow

FIGURES = {
    "Data": ["Exposure by function"],
    "Run": ["Responses", "Summary", "Versions"],
    "Stage 1": ["Accuracy", "Accuracy (table)", "RFT data", "Training"],
    "Stage 2": [
        *(
            "Accuracy by level",
            "Accuracy by level (table)",
            "Comparisons (table)",
            "Failures",
            "Failures (table)",
            "Learning curves",
        ),
        *("Training dynamics", "pass@k", "pass@k (table)"),
    ],
}
#: Helpers of the scripts.
LINK = 'const link = text => [...document.querySelectorAll("a")].find(a => a.textContent.trim() === text);'


@pytest.fixture(scope="module")
def browse(finished, tmp_path_factory):
    """Open the finished run's report, run JavaScript in it, and return its result."""
    folder = tmp_path_factory.mktemp("report")
    finished.run(*TARGETS, "--report", str(folder / "report.html"))
    return lambda script, width=1280: look((folder / "report.html").read_text(), LINK + script, folder, width)


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
    names = (
        "stage1_accuracy",
        "stage1_training",
        "stage1_selection",
        "accuracy_by_level",
        "learning_curves",
        "training_dynamics",
        "pass_at_k",
    )
    assert seen["images"].keys() == {f"{name}.svg" for name in (*names, "failures", "exposure")}
    for name, (width, height, caption) in seen["images"].items():
        assert width > 100 and height > 50 and caption > 40, name


@pytest.mark.parametrize("width", [390, 1280])
def test_all_is_shown_in_the_page_and_nothing_lies_under_the_menu(browse, width):
    seen = browse(
        """
        const box = selector => document.querySelector(selector).getBoundingClientRect();
        const beside = selector => {
            const menu = box("nav"), shown = box(selector);
            return shown.left >= menu.right - 1 || shown.top >= menu.bottom - 1;
        };
        const open = async (category, label) => {
            (link("Results") ?? {click() {}}).click();
            await pause();
            link(category).click();
            await pause();
            const row = [...document.querySelectorAll("nav tbody tr")].find(row => row.innerText.trim() === label);
            row.querySelector("a").click();
            await pause();
        };
        const found = {title: beside("h1.title"), downloads: [], wide: []};
        const check = what => {
            if (document.documentElement.scrollWidth > innerWidth) found.wide.push(what);
        };
        check("start");
        for (const [path, result] of Object.entries(results)) {
            if (!/^image|^text.html/.test(result.mime_type)) found.downloads.push(path);
        }
        await open("Run", "Summary");
        found.summary = beside("iframe") && box("iframe").width > 300;
        check("summary");
        await open("Stage 2", "Accuracy by level");
        found.figure = beside("#app img:not(nav img)");
        check("figure");
        return found;
        """,
        width,
    )
    assert seen == {"title": True, "downloads": [], "wide": [], "summary": True, "figure": True}
