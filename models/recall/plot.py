"""Accuracy and time against the length of the corpus: results/*.json -> docs/recall.svg.

    python plot.py          (matplotlib 3.10)
"""

import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

HERE = Path(__file__).parent
SHARES = [
    ("answer_right", "answers right", "o-"),
    ("record_cited", "record cited", "s--"),
    ("wrong_without_its_record", "wrong when its record is hidden", "^:"),
]


def main():
    runs = sorted((json.loads(path.read_text()) for path in HERE.glob("results/*.json")), key=lambda run: run["tokens"])
    tokens = [run["tokens"] for run in runs]
    plt.rcParams.update({"svg.hashsalt": "recall", "svg.fonttype": "none", "font.size": 9})
    figure, (accuracy, time) = plt.subplots(1, 2, figsize=(9, 3.4))
    for field, label, style in SHARES:
        share = [100 * run[field]["k"] / run[field]["n"] for run in runs]
        low = [at - 100 * run[field]["interval_95"][0] for at, run in zip(share, runs)]
        high = [100 * run[field]["interval_95"][1] - at for at, run in zip(share, runs)]
        accuracy.errorbar(tokens, share, yerr=[[max(0, x) for x in low], [max(0, x) for x in high]], fmt=style, capsize=3, label=label)
    accuracy.axhline(99, color="grey", linewidth=0.6)
    accuracy.set(ylabel="% of questions, 95 % interval", ylim=(88, 100.8))
    accuracy.legend(loc="lower left")
    each = [run["seconds"]["all_questions"] / run["answer_right"]["n"] for run in runs]
    time.plot(tokens, each, "o-", label="of many asked together, each")
    time.plot(tokens, [run["one_question"]["usage"]["ttft_ms"] / 1000 for run in runs], "s--", label="first token of one alone")
    time.set(ylabel="seconds", yscale="log")
    time.legend(loc="upper left")
    for plot in (accuracy, time):
        plot.set(xlabel="tokens of the corpus", xscale="log")
        plot.grid(True, which="major", linewidth=0.3)
    figure.tight_layout()
    figure.savefig(HERE / "../../docs/recall.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
