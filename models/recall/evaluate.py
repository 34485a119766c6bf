"""Recall of an exported model: python evaluate.py MODEL_DIR --tokens 2048 65536 --questions 200

Documents are prefilled in isolation (--exact: as one sequence), their NoPE rows are kept as int8 per token and head,
and tails attend over all of them in blocks with a running maximum. The answer is teacher-forced: a question counts as
right when all seven arg-maxes are, which is exactly when greedy decoding gives the answer.
"""
import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from corpus import ANSWER_LENGTH, CHUNK, Corpus, HEADER, RECORD_LENGTH, VALUE_OFFSET, answer_ids, question_tail
from corpus import has_neighbour
from export import load_model
from model import HEAD_DIM, HEADS, NOPE_LAYERS, Experts

PREFILL_TOKENS = 8192
BLOCK = 2048  # document rows per step of the streamed softmax
DIGITS = ANSWER_LENGTH - 1
# Tails agree up to the asked key, so these rows are computed once for all questions.
SHARED = len("\n\nQuestion: What is the value for key ")


def wilson(right, n, z=1.96):
    p = right / n
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def round_groups(x, bits):
    """Rounds x to `bits` with one scale per 32 neighbours of the last axis."""
    groups = x.unflatten(-1, (-1, 32))
    top = 2 ** (bits - 1) - 1
    scale = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12) / top
    return ((groups / scale).round() * scale).flatten(-2)


def round_like_engine(model, bits):
    """Rounds all matrices to `bits` and the inputs of linear layers to int8, in groups of 32 along the inputs."""
    for module in model.modules():
        if isinstance(module, torch.nn.Linear):
            module.weight.copy_(round_groups(module.weight, bits))
            module.register_forward_pre_hook(lambda _, inputs: round_groups(inputs[0], 8))
        elif isinstance(module, Experts):
            for weight in (module.gate_up_proj, module.down_proj):
                weight.copy_(round_groups(weight.mT, bits).mT)


class Int8Rows:
    """Rows [N, HEAD_DIM] as int8 with one f32 scale each."""

    def __init__(self, rows):
        self.scale = torch.empty(rows, 1)
        self.data = torch.empty(rows, HEAD_DIM, dtype=torch.int8)

    def store(self, start, x):
        scale = x.abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
        self.scale[start : start + len(x)] = scale
        self.data[start : start + len(x)] = (x / scale).round().to(torch.int8)

    def load(self, start, stop):
        return self.data[start:stop].float() * self.scale[start:stop]


def prefill(model, ids, header_rows):
    """Int8 NoPE rows {layer: (keys, values)} of documents ids [B, L], in blocks of about PREFILL_TOKENS."""
    memory = {l: (Int8Rows(ids.size), Int8Rows(ids.size)) for l in NOPE_LAYERS}
    count = max(1, PREFILL_TOKENS // ids.shape[1])
    for first in range(0, len(ids), count):
        block = torch.from_numpy(ids[first : first + count].astype(np.int64))
        for l, pair in model.document_rows(block, header_rows)[0].items():
            for store, x in zip(memory[l], pair):
                store.store(first * ids.shape[1], x.flatten(0, 1))
    return memory


class StreamedAttention:
    """NoPE attention of a group of tails; keeps margins and the heaviest record of every answer row and head."""

    def __init__(self, header_rows, memory, corpus, asked, mask_gold):
        self.header_rows, self.memory, self.corpus = header_rows, memory, corpus
        self.asked = torch.from_numpy(asked)
        self.gold_start = torch.from_numpy(corpus.record_row[asked])
        self.record_row = torch.from_numpy(corpus.record_row)
        self.mask_gold = mask_gold
        self.causal = torch.ones(CHUNK, CHUNK, dtype=torch.bool).tril()
        self.margins, self.cited, self.gold_mass = {}, {}, {}

    def __call__(self, l, q, k, v):
        q = q * HEAD_DIM**-0.5
        tails, length = q.shape[:2]
        self.layer = l
        self.others = torch.full((tails, DIGITS, HEADS), -math.inf)
        self.gold = torch.full((tails, DIGITS, HEADS), -math.inf)
        self.best = torch.full((tails, DIGITS, HEADS), -math.inf)
        self.best_record = torch.zeros(tails, DIGITS, HEADS, dtype=torch.int64)
        shared = self.far(q[:1, :SHARED], answers=False)
        shared = [x.expand(tails, *x.shape[1:]) for x in shared]
        own = self.far(q[:, SHARED:], answers=True)
        top, total, out = (torch.cat(pair, 1) for pair in zip(shared, own))
        scores = torch.einsum("bthd,bsd->bths", q, k).masked_fill(~self.causal[:length, None, :length], -math.inf)
        new_top = torch.maximum(top, scores.amax(-1))
        weights = (scores - new_top[..., None]).exp()
        decay = (top - new_top).exp()
        total = total * decay + weights.sum(-1)
        out = out * decay[..., None] + torch.einsum("bths,bsd->bthd", weights, v)
        near = scores[:, -ANSWER_LENGTH:-1].logsumexp(-1)
        self.others = torch.logaddexp(self.others, near)
        self.margins[l] = self.gold - self.others
        self.cited[l] = self.best_record == self.asked[:, None, None]
        self.gold_mass[l] = torch.sigmoid(self.margins[l])
        return out / total[..., None]

    def far(self, q, answers):
        """Running maximum, sum and weighted values [.., HEADS(, d)] of q over the header and all documents."""
        keys, values = self.header_rows[self.layer]
        scores = q @ keys.T
        if answers:
            self.others = torch.logaddexp(self.others, scores[:, -ANSWER_LENGTH:-1].logsumexp(-1))
        top = scores.amax(-1)
        weights = (scores - top[..., None]).exp()
        total, out = weights.sum(-1), weights @ values
        keys, values = self.memory[self.layer]
        for start in range(0, len(keys.data), BLOCK):
            stop = min(start + BLOCK, len(keys.data))
            scores = q @ keys.load(start, stop).T
            if answers:
                self.note_answers(scores, start, stop)
            new_top = torch.maximum(top, scores.amax(-1))
            decay = (top - new_top).exp()
            weights = scores.sub_(new_top[..., None]).exp_()
            total = total * decay + weights.sum(-1)
            out = out * decay[..., None] + weights @ values.load(start, stop)
            top = new_top
        return top, total, out

    def note_answers(self, scores, start, stop):
        """Updates the statistics of the answer rows; with mask_gold hides the asked records from all rows."""
        here = ((self.gold_start >= start) & (self.gold_start < stop)).nonzero()[:, 0]
        for t in here.tolist():
            first = int(self.gold_start[t]) - start
            if self.mask_gold:
                scores[t, ..., first : first + RECORD_LENGTH] = -math.inf
        answer = scores[:, -ANSWER_LENGTH:-1]
        low, high = torch.searchsorted(self.record_row, torch.tensor([start, stop])).tolist()
        if high > low:
            rows = self.record_row[low:high, None] - start + VALUE_OFFSET + torch.arange(DIGITS)
            mass, record = answer[..., rows].logsumexp(-1).max(-1)
            better = mass > self.best
            self.best = torch.where(better, mass, self.best)
            self.best_record = torch.where(better, record + low, self.best_record)
        answer = answer.clone()
        for t in here.tolist():
            for digit in range(DIGITS):
                row = int(self.gold_start[t]) - start + VALUE_OFFSET + digit
                self.gold[t, digit] = answer[t, digit, :, row]
                answer[t, digit, :, row] = -math.inf
        self.others = torch.logaddexp(self.others, answer.logsumexp(-1))


def evaluate(model, corpus, args, rng):
    start = time.time()
    header_rows = model.header_rows(torch.tensor(HEADER))
    ids = corpus.ids.reshape(1, -1) if args.exact else corpus.ids
    memory = prefill(model, ids, header_rows)
    prefill_seconds = time.time() - start
    asked = corpus.questions(rng, args.questions)
    present = set(corpus.record_key.tolist())
    right, margins, cited, mass = [], [], [], []
    for first in range(0, len(asked), args.group):
        group = asked[first : first + args.group]
        pairs = list(zip(corpus.record_key[group].tolist(), corpus.record_value[group].tolist()))
        tails = torch.tensor([question_tail(k, v) for k, v in pairs])
        answers = torch.tensor([answer_ids(v) for _, v in pairs])
        attention = StreamedAttention(header_rows, memory, corpus, group, args.mask_gold)
        logits = model.tail_logits(tails, len(HEADER) + ids.size, attention)[:, -ANSWER_LENGTH:]
        right += (logits.argmax(-1) == answers).all(-1).tolist()
        for total, part in ((margins, attention.margins), (cited, attention.cited), (mass, attention.gold_mass)):
            total.append(torch.stack([part[l] for l in NOPE_LAYERS]))
    n, k = len(right), sum(right)
    low, high = wilson(k, n)
    near = sum(has_neighbour(int(corpus.record_key[i]), present) for i in asked)
    print(f"tokens {ids.size} documents {len(corpus.ids)} records {len(corpus.record_key)} right {k}/{n} "
          f"({low:.4f}..{high:.4f}) with_near_duplicate {near} prefill_s {prefill_seconds:.0f} "
          f"total_s {time.time() - start:.0f}", flush=True)
    margins, cited, mass = (torch.cat(x, 1) for x in (margins, cited, mass))  # [layers, Q, digits, heads]
    for i, l in enumerate(NOPE_LAYERS):
        per_head = [f"{margins[i, ..., h].min():.1f}/{margins[i, ..., h].median():.1f}" for h in range(HEADS)]
        print(f"  layer {l} margin_nats min/median per head {' '.join(per_head)}  gold_mass {mass[i].mean():.4f}  "
              f"cited {cited[i].float().mean():.4f}  all_rows_cited {cited[i].all(-1).all(-1).sum()}/{n}", flush=True)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 8192, 65536])
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--document", type=int, default=1024, help="tokens per document, a multiple of 128")
    parser.add_argument("--group", type=int, default=50, help="questions answered at once")
    parser.add_argument("--weight-bits", type=int, choices=(4, 8), help="round weights and activations as engines do")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--exact", action="store_true", help="one sequential prefill instead of isolation")
    parser.add_argument("--mask-gold", action="store_true", help="hide the asked record: answers must become wrong")
    args = parser.parse_args()
    torch.set_num_threads(2)
    model = load_model(args.model)
    if args.weight_bits:
        round_like_engine(model, args.weight_bits)
    for tokens in args.tokens:
        rng = np.random.default_rng([args.seed, tokens])
        evaluate(model, Corpus(rng, tokens // args.document, args.document), args, rng)


if __name__ == "__main__":
    main()
