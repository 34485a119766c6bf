"""llama.cpp behind the same line protocol as `crates/scout/examples/speed.rs`.

    rival.py MODEL IDS.json THREADS on|off      (flash attention)

Reads lines `N_CONTEXT N_DECODE`; for each it prefills that many of the ids, decodes the ids that follow one by one and
writes one line of JSON. Logits are computed for the last prefilled token and for every decoded one.
"""

import json
import sys
import time

import llama_cpp
import numpy as np

BATCH = 512


def main():
    model, ids_path, threads, flash = sys.argv[1:]
    with open(ids_path) as file:
        ids = json.load(file)
    llm = llama_cpp.Llama(
        model_path=model,
        n_ctx=len(ids),
        n_batch=BATCH,
        n_ubatch=BATCH,
        n_threads=int(threads),
        n_threads_batch=int(threads),
        flash_attn=flash == "on",
        logits_all=False,
        verbose=False,
    )
    announce(
        {
            "engine": f"llama.cpp, flash attention {flash}",
            "package": llama_cpp.__version__,
            "system": llama_cpp.llama_print_system_info().decode(),
            "threads": int(threads),
        }
    )
    for line in sys.stdin:
        n_context, n_decode = map(int, line.split())
        announce(measure(llm, ids[:n_context], ids[n_context : n_context + n_decode]))


def measure(llm, context, following):
    llm.reset()
    start = time.perf_counter()
    llm.eval(context)  # in batches of BATCH
    after_prefill = likeliest(llm)
    prefill_s = time.perf_counter() - start
    start = time.perf_counter()
    after_decode = after_prefill
    for token in following:
        llm.eval([token])
        after_decode = likeliest(llm)
    return {
        "n_context": len(context),
        "n_decode": len(following),
        "prefill_s": prefill_s,
        "decode_s": time.perf_counter() - start,
        "after_prefill": after_prefill,
        "after_decode": after_decode,
    }


def likeliest(llm):
    logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(llm.ctx, -1), (llm.n_vocab(),))
    return int(logits.argmax())


def announce(value):
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
