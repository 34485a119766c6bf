#!/usr/bin/env python3
"""Prefill and decode of Ibid against llama.cpp: the same GGUF file, token ids, threads and batch, by turns in one run.

    bench/llama_cpp/install.sh
    cargo build --release -p ibid && cargo build --release -p scout --example speed
    bench/llama_cpp/compare.py --model SmolLM2-135M-Instruct.Q4_1.gguf

Three processes are kept open: Ibid, llama.cpp with and without flash attention. In every round each is asked once for
every context length, in an order that turns from round to round, and only one works at a time. A ratio is formed
inside a round, from measurements minutes apart at most, so that a slow spell of the machine falls on both sides;
the tables give the least, the median and the greatest over the rounds. Speeds are in tokens per second.

The longest context is also composed from stored KV in every round, by a new process (`ibid bench ttft --context`): from
the first byte read to the first token behind a question of 32 tokens. Beside it stands what llama.cpp takes to prefill
the same tokens, without any question.

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
COMPOSED = "composed"


def main():
    options = arguments()
    contexts = [int(n) for n in options.contexts.split(",")]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as ids, tempfile.TemporaryDirectory() as data:
        json.dump(token_ids(max(contexts) + options.decode), ids)
        ids.flush()
        describe(options)
        composer = Composer(options, ids.name, data)
        rival = [options.llama_cpp / "bin/python", HERE / "rival.py", options.model, ids.name, str(options.threads)]
        engines = {
            "ibid": Engine([options.speed, options.model, ids.name], options.threads),
            "llama.cpp": Engine([*rival, "off"], options.threads),
            "llama.cpp, flash attention": Engine([*rival, "on"], options.threads),
        }
        rounds = []
        for number in range(options.rounds):
            measured = run_round(number, engines, contexts, options.decode)
            measured[COMPOSED] = composer.measure(number, max(contexts))
            rounds.append(measured)
    report(rounds, list(engines), contexts)
    report_composed(rounds, list(engines), max(contexts))
    print(f"\nload average after: {load_average()}")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=pathlib.Path, required=True, help="GGUF file, SmolLM2's vocabulary")
    parser.add_argument("--contexts", default="512,4096", help="context lengths, separated by commas")
    parser.add_argument("--decode", type=int, default=32, help="tokens decoded behind each context")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--llama-cpp", type=pathlib.Path, default=ROOT / "target/llama_cpp")
    parser.add_argument("--ibid", type=pathlib.Path, default=ROOT / "target/release/ibid")
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


class Composer:
    """Asks a new `ibid` process each time; its data folder keeps nothing but the hash of the model."""

    def __init__(self, options, ids, data):
        self.command = [options.ibid, "--data", data, "--model", options.model, "--json", "bench", "ttft"]
        self.command += ["--ids", ids, "--repeat", "1", "--context"]
        self.environment = {**os.environ, "RAYON_NUM_THREADS": str(options.threads)}

    def measure(self, number, n_context):
        load = others_load()
        command = [str(word) for word in [*self.command, n_context]]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=self.environment)
        if run.returncode != 0:
            sys.exit(f"{command[0]} stopped with {run.returncode}")
        results = json.loads(run.stdout)["results"]
        measured = {result["name"]: result for result in results}
        composed, prefilled = measured["composed"], measured["prefilled"]
        if composed["prefilled_tokens"] != 0:
            sys.exit(f"{composed['prefilled_tokens']} tokens were prefilled, so nothing was restored")
        print(
            f"round {number + 1}  {'ibid, composed':27} {n_context:5}  first token {composed['seconds']:8.3f} s  "
            f"its own prefill {prefilled['seconds']:8.3f} s  opening the model {composed['open_seconds']:.3f} s  "
            f"other runnable tasks before {load}",
            flush=True,
        )
        return {"composed_s": composed["seconds"], "prefill_s": prefilled["seconds"]}


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
    print(f"load average before: {load_average()}")
    build = options.llama_cpp / "build.txt"
    print(build.read_text().strip() if build.exists() else "llama.cpp: build flags unknown")


def load_average():
    return " ".join(f"{x:.2f}" for x in os.getloadavg())


def report(rounds, names, contexts):
    ours, rivals = names[0], names[1:]
    speeds = {}
    print("\n| tokens/s | context | engine | least | median | greatest |\n|---|---|---|---|---|---|")
    for stage, count in [("prefill", "n_context"), ("decode", "n_decode")]:
        for n_context in contexts:
            for name in names:
                runs = [one[name, n_context] for one in rounds]
                speeds[stage, n_context, name] = [run[count] / run[f"{stage}_s"] for run in runs]
                print(f"| {stage} | {n_context} | {name} | {spread(speeds[stage, n_context, name], '.1f')} |")
    print("\n| ibid over rival | context | rival | least | median | greatest |\n|---|---|---|---|---|---|")
    for (stage, n_context, name), theirs in speeds.items():
        if name in rivals:
            ratios = [mine / other for mine, other in zip(speeds[stage, n_context, ours], theirs)]
            print(f"| {stage} | {n_context} | {name} | {spread(ratios, '.2f')} |")


def report_composed(rounds, names, n_context):
    ours, rivals = names[0], names[1:]
    seconds = {f"{ours}, composed": [one[COMPOSED]["composed_s"] for one in rounds]}
    seconds[f"{ours}, prefilled"] = [one[COMPOSED]["prefill_s"] for one in rounds]
    for rival in rivals:
        seconds[f"{rival}, prefilled"] = [one[rival, n_context]["prefill_s"] for one in rounds]
    print(f"\n| {n_context} tokens to first token, s | least | median | greatest |\n|---|---|---|---|")
    for name, values in seconds.items():
        print(f"| {name} | {spread(values, '.3f')} |")
    mine, *others = seconds.items()
    print("\n| times faster than | least | median | greatest |\n|---|---|---|---|")
    for name, values in others:
        print(f"| {name} | {spread([theirs / own for theirs, own in zip(values, mine[1])], '.1f')} |")


def spread(values, form):
    return " | ".join(f"{value:{form}}" for value in (min(values), statistics.median(values), max(values)))


if __name__ == "__main__":
    main()
