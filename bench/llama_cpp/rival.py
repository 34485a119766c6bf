"""llama.cpp behind the same line protocol as `crates/scout/examples/speed.rs`.

    rival.py MODEL IDS.json THREADS on|off      (flash attention)

Reads lines and writes one line of JSON for each:

    N_CONTEXT N_DECODE N_SEQUENCES    so many sequences prefill that many of the ids, one after another, and then decode
                                      the ids that follow, together; logits for the last prefilled token and for every
                                      decoded one
    restore N_CONTEXT                 the ids' state from a file, until one token was run behind it
"""

import ctypes
import json
import os
import sys
import tempfile
import time

import llama_cpp
import numpy as np

BATCH = 512


class Context:
    """`n_sequences` with room for `n_tokens` each."""

    def __init__(self, model, threads, flash, n_tokens, n_sequences):
        params = llama_cpp.llama_context_default_params()
        room = -(-n_tokens // 256) * 256
        params.n_ctx = room * n_sequences
        params.n_seq_max = n_sequences
        # Each sequence attends to its own cells only.
        params.kv_unified = False
        params.n_batch = params.n_ubatch = BATCH
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        params.no_perf = True
        self.handle = llama_cpp.llama_init_from_model(model, params)
        if not self.handle:
            sys.exit("llama.cpp made no context")
        self.memory = llama_cpp.llama_get_memory(self.handle)
        self.n_vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, 1)

    def clear(self):
        llama_cpp.llama_memory_clear(self.memory, True)

    def run(self, tokens):
        """`tokens`: (id, position, sequence, whether its logits are wanted), at most BATCH."""
        batch = self.batch
        batch.n_tokens = len(tokens)
        for at, (token, position, sequence, wanted) in enumerate(tokens):
            batch.token[at] = token
            batch.pos[at] = position
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = sequence
            batch.logits[at] = wanted
        if llama_cpp.llama_decode(self.handle, batch) != 0:
            sys.exit("llama.cpp did not decode")

    def prefill(self, ids, sequence):
        for start in range(0, len(ids), BATCH):
            positions = range(start, min(start + BATCH, len(ids)))
            self.run([(ids[at], at, sequence, at + 1 == len(ids)) for at in positions])
        return self.likeliest()

    def likeliest(self):
        """After the newest token whose logits were wanted."""
        logits = llama_cpp.llama_get_logits_ith(self.handle, -1)
        return int(np.ctypeslib.as_array(logits, (self.n_vocab,)).argmax())


class Rival:
    def __init__(self, model_path, ids, threads, flash):
        llama_cpp.llama_backend_init()
        # What is logged while a model is loaded is of no interest.
        self.log = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.log, None)
        self.model = llama_cpp.llama_model_load_from_file(model_path.encode(), llama_cpp.llama_model_default_params())
        if not self.model:
            sys.exit(f"llama.cpp cannot load {model_path}")
        self.ids, self.threads, self.flash = ids, threads, flash
        self.contexts = {}
        self.states = tempfile.TemporaryDirectory()

    def context(self, n_sequences, n_tokens):
        if n_sequences == 1:
            n_tokens = len(self.ids)
        key = (n_sequences, n_tokens)
        if key not in self.contexts:
            self.contexts[key] = Context(self.model, self.threads, self.flash, n_tokens, n_sequences)
        self.contexts[key].clear()
        return self.contexts[key]

    def speed(self, n_context, n_decode, n_sequences):
        context = self.context(n_sequences, n_context + n_decode)
        start = time.perf_counter()
        for sequence in range(n_sequences):
            after_prefill = context.prefill(self.ids[:n_context], sequence)
        prefill_s = time.perf_counter() - start
        start = time.perf_counter()
        after_decode = after_prefill
        for at in range(n_context, n_context + n_decode):
            context.run([(self.ids[at], at, sequence, True) for sequence in range(n_sequences)])
            after_decode = context.likeliest()
        decode_s = time.perf_counter() - start
        return {
            "prefill_s": prefill_s,
            "decode_s": decode_s,
            "after_prefill": after_prefill,
            "after_decode": after_decode,
        }

    def restore(self, n_context):
        context = self.context(1, n_context)
        path = os.path.join(self.states.name, f"{n_context}").encode()
        ids = (llama_cpp.llama_token * n_context)(*self.ids[:n_context])
        if not os.path.exists(path):
            context.prefill(self.ids[:n_context], 0)
            if llama_cpp.llama_state_seq_save_file(context.handle, path, 0, ids, n_context) == 0:
                sys.exit("llama.cpp did not save its state")
            context.clear()
        count = ctypes.c_size_t()
        start = time.perf_counter()
        loaded = llama_cpp.llama_state_seq_load_file(context.handle, path, 0, ids, n_context, ctypes.byref(count))
        load_s = time.perf_counter() - start
        if loaded == 0 or count.value != n_context:
            sys.exit("llama.cpp did not load its state")
        context.run([(self.ids[n_context], n_context, 0, True)])
        after = context.likeliest()
        return {"load_s": load_s, "seconds": time.perf_counter() - start, "bytes": os.path.getsize(path), "after": after}


def main():
    model, ids_path, threads, flash = sys.argv[1:]
    with open(ids_path) as file:
        ids = json.load(file)
    rival = Rival(model, ids, int(threads), flash == "on")
    announce(
        {
            "engine": f"llama.cpp, flash attention {flash}",
            "model": os.path.basename(model),
            "package": llama_cpp.__version__,
            "system": llama_cpp.llama_print_system_info().decode(),
            "threads": int(threads),
        }
    )
    for line in sys.stdin:
        words = line.split()
        if words[0] == "restore":
            announce(rival.restore(int(words[1])))
        else:
            announce(rival.speed(*map(int, words)))


def announce(value):
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
