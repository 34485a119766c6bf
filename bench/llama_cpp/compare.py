#!/usr/bin/env python3
"""Prefill and decode of Ibid against llama.cpp: the same GGUF file, token ids, threads and batch, by turns in one run.

    bench/llama_cpp/install.sh
    cargo build --release -p scout --example speed
    bench/llama_cpp/compare.py --model SmolLM2-135M-Instruct.Q4_1.gguf

Three processes are kept open: Ibid, llama.cpp with and without flash attention. In every round each is asked once for
every context length, in an order that turns from round to round, and only one works at a time. A ratio is formed
inside a round, from measurements minutes apart at most, so that a slow spell of the machine falls on both sides;
the table gives the least, the median and the greatest over the rounds. Speeds are in tokens per second.

llama.cpp keeps keys and values in f16, Ibid in int8, each its default.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
FIXTURE = ROOT / "crates/scout/fixtures/smollm2/vectors.json"


def main():
    options = arguments()
    contexts = [int(n) for n in options.contexts.split(",")]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as ids:
        json.dump(token_ids(max(contexts) + options.decode), ids)
        ids.flush()
        describe(options)
        rival = [options.llama_cpp / "bin/python", HERE / "rival.py", options.model, ids.name, str(options.threads)]
        engines = {
            "ibid": Engine([options.speed, options.model, ids.name], options.threads),
            "llama.cpp": Engine([*rival, "off"], options.threads),
            "llama.cpp, flash attention": Engine([*rival, "on"], options.threads),
        }
        rounds = [run_round(n, engines, contexts, options.decode) for n in range(options.rounds)]
    report(rounds, list(engines), contexts)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="GGUF file, SmolLM2's vocabulary")
    parser.add_argument("--contexts", default="512,4096", help="context lengths, separated by commas")
    parser.add_argument("--decode", type=int, default=32, help="tokens decoded behind each context")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--llama-cpp", type=pathlib.Path, default=ROOT / "target/llama_cpp")
    parser.add_argument("--speed", type=pathlib.Path, default=ROOT / "target/release/examples/speed")
    return parser.parse_args()


def token_ids(n):
    """English text, repeated; both engines get these ids and no tokenizer is involved."""
    text = json.loads(FIXTURE.read_text())["logits_for_ids"]
    return [text[i % len(text)] for i in range(n)]


class Engine:
    """A process that answers a line `N_CONTEXT N_DECODE` with a line of JSON."""

    def __init__(self, command, threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )
        print(json.dumps(self.answer()))

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args[0]} stopped with {self.process.wait()}")
        return json.loads(line)

    def measure(self, n_context, n_decode):
        self.process.stdin.write(f"{n_context} {n_decode}\n")
        self.process.stdin.flush()
        return self.answer()


def run_round(number, engines, contexts, n_decode):
    """(engine, context) -> measurement."""
    names = list(engines)
    names = names[number % len(names) :] + names[: number % len(names)]
    result = {}
    for n_context in contexts:
        for name in names:
            load = others_load()
            measured = result[name, n_context] = engines[name].measure(n_context, n_decode)
            print(
                f"round {number + 1}  {name:27} {n_context:5}  prefill {n_context / measured['prefill_s']:7.1f}/s  "
                f"decode {n_decode / measured['decode_s']:6.1f}/s  likeliest next {measured['after_prefill']} and "
                f"{measured['after_decode']}  other runnable tasks before {load}",
                flush=True,
            )
    return result


def others_load():
    """Tasks that want a processor now, this one not counted."""
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].split("/")[0]) - 1


def describe(options):
    cpu = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    print(f"{cpu[0].split(':')[1].strip() if cpu else platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(f"load average before: {' '.join(f'{x:.2f}' for x in os.getloadavg())}")
    build = options.llama_cpp / "build.txt"
    print(build.read_text().strip() if build.exists() else "llama.cpp: build flags unknown")


def report(rounds, names, contexts):
    ours, rivals = names[0], names[1:]
    print("\n| | context | ibid | rival | ratio: least | median | greatest |\n|---|---|---|---|---|---|---|")
    for stage, count in [("prefill", "n_context"), ("decode", "n_decode")]:
        for n_context in contexts:
            for rival in rivals:
                pairs = [(one[ours, n_context], one[rival, n_context]) for one in rounds]
                speeds = [[m[count] / m[f"{stage}_s"] for m in pair] for pair in pairs]
                ratios = sorted(mine / theirs for mine, theirs in speeds)
                mine, theirs = (statistics.median(column) for column in zip(*speeds))
                print(
                    f"| {stage}, against {rival} | {n_context} | {mine:.1f} | {theirs:.1f} | {ratios[0]:.2f} | "
                    f"{statistics.median(ratios):.2f} | {ratios[-1]:.2f} |"
                )
    print(f"\nload average after: {' '.join(f'{x:.2f}' for x in os.getloadavg())}")


if __name__ == "__main__":
    main()
