#!/usr/bin/env python3
"""Ibid against llama.cpp: the same token ids, threads and batch, by turns in one run.

    bench/llama_cpp/install.sh
    cargo build --release -p ibid && cargo build --release -p scout --example speed
    bench/llama_cpp/compare.py --model SmolLM2-135M-Instruct.Q4_1.gguf

llama.cpp runs the same file and one in Q4_0, which its own quantiser makes of it and its repacked kernels are made for,
each with and without flash attention; the fastest of the settings counts, figure by figure. All processes are kept open
and warmed up. In every round each is asked once for everything, in an order that turns from round to round, and only one
works at a time:

- prefill of every context, and tokens decoded behind it;
- sequences that decode together, against one;
- the first token behind stored context: Ibid composes it from disk in a new process and reads a question of 32 tokens,
  llama.cpp prefills all of it;
- stored context restored from a file until one token was run behind it (`llama_state_seq_load_file`);
- prefill and decode while another process keeps one core busy.

The roofline and the stages of Ibid's forward pass are measured in the same run. llama.cpp keeps keys and values in f16,
Ibid in int8, each its default. Speeds are in tokens per second.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile

import engines
import report
from engines import IBID

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIXTURE = ROOT / "crates/scout/fixtures/smollm2/vectors.json"
QUESTION = 32


class Plan:
    """What is measured; `--quick` only shows that everything works."""

    def __init__(self, options):
        quick = options.quick
        self.contexts = [64, 128] if quick else [int(n) for n in options.contexts.split(",")]
        self.decode = 8 if quick else options.decode
        self.rounds = 1 if quick else options.rounds
        self.stored = 128 if quick else 4096
        self.together = self.contexts[0]
        self.sequences = 8

    def n_ids(self):
        return max(max(self.contexts) + self.decode, self.stored + QUESTION)


def main():
    options = arguments()
    plan = Plan(options)
    with tempfile.NamedTemporaryFile("w", suffix=".json") as ids, tempfile.TemporaryDirectory() as data:
        json.dump(token_ids(plan.n_ids()), ids)
        ids.flush()
        describe(options)
        running = engines.start(options, ids.name, data)
        ibid = running[IBID]
        print(json.dumps({"roofline": ibid.bench("peak")}), flush=True)
        for engine in running.values():
            engine.speed(plan.contexts[0], 2)
        rounds = [run_round(number, running, plan) for number in range(plan.rounds)]
        report.report(rounds, plan)
        for kind in ["prefill", "decode"]:
            tokens = ",".join(map(str, plan.contexts))
            report.stages(kind, ibid.bench(kind, "--tokens", tokens, "--stages"))
    print(f"\nload average after: {load_average()}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="Q4_1 GGUF file, SmolLM2's vocabulary")
    parser.add_argument("--contexts", default="512,4096,7680", help="context lengths, separated by commas")
    parser.add_argument("--decode", type=int, default=32, help="tokens decoded behind each context")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="one round of short contexts, to see that it works")
    parser.add_argument("--llama-cpp", type=pathlib.Path, default=ROOT / "target/llama_cpp")
    parser.add_argument("--ibid", type=pathlib.Path, default=ROOT / "target/release/ibid")
    parser.add_argument("--speed", type=pathlib.Path, default=ROOT / "target/release/examples/speed")
    return parser.parse_args()


def token_ids(n):
    """English text, repeated; both engines get these ids and no tokenizer is involved."""
    text = json.loads(FIXTURE.read_text())["logits_for_ids"]
    return [text[i % len(text)] for i in range(n)]


def run_round(number, running, plan):
    """Engine -> everything measured of it."""
    names = list(running)
    turn = number % len(names)
    order = names[turn:] + names[:turn]
    measured = {name: {"speed": {}} for name in names}

    def each(what, measure):
        for name in order:
            load = others_load()
            result = measure(running[name], name)
            print(f"round {number + 1}  {what:24} {name:32} {json.dumps(result)}  other runnable tasks before: {load}", flush=True)
            yield name, result

    for n in plan.contexts:
        for name, result in each(f"speed {n}", lambda engine, _, n=n: engine.speed(n, plan.decode)):
            measured[name]["speed"][n] = result
    together = lambda engine, _: engine.speed(plan.together, plan.decode, plan.sequences)
    for name, result in each(f"together {plan.sequences} x {plan.together}", together):
        measured[name]["together"] = result

    def first_token(engine, name):
        return engine.composed(plan.stored) if name == IBID else engine.speed(plan.stored + QUESTION, 0)

    for name, result in each(f"first token {plan.stored}", first_token):
        measured[name]["composed"] = result["composed"] if name == IBID else result["prefill_s"]
    for name, result in each(f"restore {plan.stored}", lambda engine, _: engine.restore(plan.stored)):
        measured[name]["restore"] = result["seconds"]
    with busy_core():
        for name, result in each(f"busy core {plan.together}", lambda engine, _: engine.speed(plan.together, plan.decode)):
            measured[name]["busy"] = result
    return measured


@contextlib.contextmanager
def busy_core():
    """A process that spins on the first core this one may use."""
    core = min(os.sched_getaffinity(0))
    spin = f"import os\nos.sched_setaffinity(0, [{core}])\nwhile True: pass"
    process = subprocess.Popen([sys.executable, "-c", spin])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def others_load():
    """Tasks that want a processor now, this one not counted."""
    return int(pathlib.Path("/proc/loadavg").read_text().split()[3].split("/")[0]) - 1


def describe(options):
    cpu = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    print(f"{cpu[0].split(':')[1].strip() if cpu else platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}")
    print(f"load average before: {load_average()}")
    build = options.llama_cpp / "build.txt"
    print(build.read_text().strip() if build.exists() else "llama.cpp: build flags unknown")


def load_average():
    return " ".join(f"{x:.2f}" for x in os.getloadavg())


if __name__ == "__main__":
    main()
