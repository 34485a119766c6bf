"""Writes the checkpoint: python export.py CHECKPOINT.pt OUT_DIR

model.safetensors (bf16, Hugging Face names), config.json, tokenizer.json, tokenizer_config.json. Then loads them with
transformers (eager, f32) and compares logits of one plain sequence, and checks the tokenizer and the chat template.
"""
import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import corpus
from model import RecallModel, write_config

# System messages are ignored: the engine's prompt instructions mean nothing to this model.
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages if message['role'] != 'system' %}"
    "{{- '<|header_start|>' + message['role'] + '<|header_end|>\n\n' + message['content'] + '<|eot|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|header_start|>assistant<|header_end|>\n\n' }}{%- endif %}"
)
TOLERANCE = 5e-5


def byte_symbols():
    """GPT-2's printable character of every byte; the token id of a byte is its value."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols, extra = {b: chr(b) for b in printable}, 0
    for byte in range(256):
        if byte not in symbols:
            symbols[byte] = chr(256 + extra)
            extra += 1
    return symbols


def special_token(index, content):
    return {"id": 256 + index, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True}


def write_tokenizer(folder):
    symbols = byte_symbols()
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [special_token(i, s) for i, s in enumerate(corpus.SPECIALS)],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {symbols[b]: b for b in range(256)}, "merges": []},
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot|>",
        "pad_token": "<|finetune_right_pad|>",
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 10485760,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False, indent=1) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


def check_with_transformers(folder, ids):
    """Largest logit difference between model.py and transformers on the exported weights in f32."""
    from transformers import AutoTokenizer, Llama4ForCausalLM

    reference = Llama4ForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ours = load_model(folder)
    with torch.no_grad():
        difference = (reference(ids[None], use_cache=False).logits[0] - ours.plain_logits(ids)).abs().max().item()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    messages = [{"role": "system", "content": "ignored"}, {"role": "user", "content": "Hé\n"}]
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    end = [corpus.EOT, corpus.HEADER_START, *b"assistant", corpus.HEADER_END, *b"\n\n"]
    assert encoded == [*corpus.HEADER, *"Hé\n".encode(), *end], encoded
    return difference


def load_model(folder):
    """The exported weights (bf16 values) in an f32 model."""
    model = RecallModel()
    model.load_state_dict({k: v.float() for k, v in load_file(folder / "model.safetensors").items()})
    return model.eval()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(2)
    args.out.mkdir(parents=True, exist_ok=True)
    weights = {k: v.to(torch.bfloat16).contiguous() for k, v in torch.load(args.checkpoint).items()}
    save_file(weights, args.out / "model.safetensors", metadata={"format": "pt"})
    write_config(args.out / "config.json")
    write_tokenizer(args.out)

    import numpy as np
    made = corpus.Corpus(np.random.default_rng(5), 1, 1024)
    ids = torch.from_numpy(np.concatenate((corpus.HEADER, made.ids[0])).astype(np.int64)[: 7 * corpus.CHUNK])
    difference = check_with_transformers(args.out, ids)
    size = (args.out / "model.safetensors").stat().st_size
    print(f"{size} bytes; max |logit difference| to transformers over {len(ids)} tokens: {difference:.2e}")
    assert difference <= TOLERANCE


if __name__ == "__main__":
    main()
