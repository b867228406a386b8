"""Bars of running jobs: what they read from logs."""

from tqdm import tqdm

from snakemake_logger_plugin_fofg.screen import _TQDM, last_line


def test_a_bar_follows_the_last_line_of_a_log(tmp_path):
    log = tmp_path / "train.log"
    assert last_line(str(log)) == ""
    with open(log, "w") as file:
        file.write("x" * 10000 + "\nloading the model\n")
        file.flush()
        assert last_line(str(log)) == "loading the model"
        with tqdm(total=30, desc="train", unit="step", file=file, mininterval=0, miniters=1) as bar:
            bar.set_postfix(loss="0.1")
            bar.update(12)
            file.flush()
            assert _TQDM.match(last_line(str(log))).groups()[:3] == ("train", "12", "30")
