"""The processes that are measured: Ibid, and llama.cpp with each model type and kind of attention."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
IBID = "ibid"
# Model types of the rival; the first is the very file that Ibid runs.
TYPES = ["Q4_1", "Q4_0"]


def surroundings(threads):
    """So many threads on as many cores, always the same ones: what else keeps the first of them busy is in the way of all."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    return {"env": environment, "preexec_fn": lambda: os.sched_setaffinity(0, cores)}


class Line:
    """A process that answers each line with a line of JSON."""

    def __init__(self, command, threads):
        self.said = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said, text=True, **surroundings(threads),
        )
        print(json.dumps(self.answer()), flush=True)

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            status = self.process.wait()
            self.said.seek(0)
            sys.exit(f"{' '.join(self.process.args)} stopped with {status}:\n{self.said.read()[-2000:]}")
        return json.loads(line)

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def speed(self, n_context, n_decode, n_sequences=1):
        return self.ask(f"{n_context} {n_decode} {n_sequences}")


class Rival(Line):
    def restore(self, n_context):
        return self.ask(f"restore {n_context}")


class Ibid(Line):
    """`speed` kept open; everything else by a new process, whose data folder keeps nothing but the model's hash."""

    def __init__(self, options, ids, data):
        super().__init__([options.speed, options.model, ids], options.threads)
        self.command = [options.ibid, "--data", data, "--model", options.model, "--json", "bench"]
        self.ids = ids
        self.threads = options.threads

    def bench(self, *words):
        command = [str(word) for word in [*self.command, *words]]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True, **surroundings(self.threads))
        if run.returncode != 0:
            sys.exit(f"{' '.join(command)} stopped with {run.returncode}")
        return json.loads(run.stdout)

    def results(self, *words):
        return {result["name"]: result for result in self.bench(*words)["results"]}

    def composed(self, n_context):
        """Seconds from the first byte of stored KV to the first token behind a question of 32 tokens."""
        measured = self.results("ttft", "--ids", self.ids, "--repeat", "1", "--context", n_context)
        if measured["composed"]["prefilled_tokens"] != 0:
            sys.exit(f"{measured['composed']['prefilled_tokens']} tokens were prefilled, so nothing was restored")
        return {name: measured[name]["seconds"] for name in ["composed", "prefilled"]}

    def restore(self, n_context):
        """Files in the system's cache, as the rival's is."""
        return self.results("restore", "--repeat", "1", "--tokens", n_context)["warm"]


def start(options, ids, data):
    """By name; Ibid first."""
    engines = {IBID: Ibid(options, ids, data)}
    for kind in TYPES:
        for flash in ["off", "on"]:
            model = options.model if kind == TYPES[0] else quantised(options, kind)
            command = [options.llama_cpp / "bin/python", HERE / "rival.py", model, ids, options.threads, flash]
            engines[f"llama.cpp {kind}{', flash attention' if flash == 'on' else ''}"] = Rival(command, options.threads)
    return engines


def quantised(options, kind):
    """The model in another type, made once."""
    source = options.model.stat()
    target = options.llama_cpp / f"{options.model.stem}-{source.st_size}-{source.st_mtime_ns}-to-{kind}.gguf"
    if not target.exists():
        command = [options.llama_cpp / "bin/python", HERE / "quantise.py", options.model, target, kind]
        run = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if run.returncode != 0:
            sys.exit(f"{run.stderr[-2000:]}\n{options.model} was not quantised to {kind}")
    return target
