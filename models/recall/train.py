"""Trains the recall model: python train.py --steps 260 --out OUT_DIR [--seed 1]

Each step prefills isolated documents once and asks many questions over them. The corpus length is made up per step,
log-uniform up to 10M tokens: the tail's positions (so the temperature) are those of that length, and all document
rows but the asked record get ln(length / rows) added to their scores, as if the corpus really had so many.
"""
import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from construct import initial_model
from corpus import ANSWER_LENGTH, CHUNK, Corpus, HEADER, RECORD_LENGTH, VALUE_OFFSET, answer_ids, question_tail
from model import HEAD_DIM, NOPE_LAYERS

STEP_TOKENS = 2048
LONGEST = 10_000_000
# Nats by which the asked record's value digit should beat the log-sum-exp of all other rows, in every NoPE head.
MARGIN = 14.0
# Logits of document rows mean nothing and should stay this small: large ones only magnify f32 rounding.
QUIET = 6.0


def round_int8(x):
    """Rounds rows to int8 with one scale per token and head, as the KV pages do; the gradient passes straight."""
    scale = x.detach().abs().amax(-1, keepdim=True).clamp_min(1e-12) / 127
    return x + ((x / scale).round() * scale - x).detach()


def log_uniform(rng, low, high):
    return int(math.exp(rng.uniform(math.log(low), math.log(high))))


class Batch:
    """A step's documents, tails and the document rows at which the asked records' digits stand."""

    def __init__(self, rng, n_questions):
        length = int(rng.choice([1, 2, 4, 8])) * CHUNK
        corpus = Corpus(rng, STEP_TOKENS // length, length)
        asked = corpus.questions(rng, n_questions)
        pairs = list(zip(corpus.record_key[asked].tolist(), corpus.record_value[asked].tolist()))
        self.documents = torch.from_numpy(corpus.ids.astype(np.int64))
        self.tails = torch.tensor([question_tail(k, v) for k, v in pairs])
        self.answers = torch.tensor([answer_ids(v) for _, v in pairs])
        self.record_rows = torch.from_numpy(corpus.record_row[asked])
        self.length = log_uniform(rng, STEP_TOKENS, LONGEST)
        # Every other step the documents' temperature is that of text deep inside a long document.
        self.skipped = log_uniform(rng, STEP_TOKENS, LONGEST) if rng.random() < 0.5 else 0


class TailAttention:
    """NoPE attention of tails over header, documents and themselves; keeps each layer's margins of the answer rows."""

    def __init__(self, batch, header_rows, document_rows):
        self.memory = {}
        for l in NOPE_LAYERS:
            rows = zip(header_rows[l], (r.flatten(0, 1) for r in document_rows[l]))
            self.memory[l] = [round_int8(torch.cat(pair)) for pair in rows]
        n_header, n_documents = len(HEADER), batch.documents.numel()
        self.bias = torch.zeros(len(batch.tails), n_header + n_documents)
        self.bias[:, n_header:] = math.log(batch.length / n_documents)
        record = n_header + batch.record_rows[:, None] + torch.arange(RECORD_LENGTH)
        self.bias.scatter_(1, record, 0.0)
        self.gold = record[:, VALUE_OFFSET : VALUE_OFFSET + ANSWER_LENGTH - 1]
        self.causal = torch.ones(CHUNK, CHUNK, dtype=torch.bool).tril()
        self.margins = {}

    def __call__(self, l, q, k, v):
        keys, values = self.memory[l]
        length = q.shape[1]
        q = q * HEAD_DIM**-0.5
        far = q @ keys.T + self.bias[:, None, None]
        near = torch.einsum("bthd,bsd->bths", q, k).masked_fill(~self.causal[:length, None, :length], -math.inf)
        scores = torch.cat((far, near), -1)
        answer = scores[:, -ANSWER_LENGTH:-1]  # [Q, 6, H, all rows]
        index = self.gold[:, :, None, None].expand(-1, -1, answer.shape[2], 1)
        others = answer.scatter(-1, index, -math.inf).logsumexp(-1)
        self.margins[l] = answer.gather(-1, index)[..., 0] - others
        weights = scores.softmax(-1)
        n_far = far.shape[-1]
        return weights[..., :n_far] @ values + torch.einsum("bths,bsd->bthd", weights[..., n_far:], v)


def loss_and_stats(model, batch):
    header_rows = model.header_rows(torch.tensor(HEADER))
    document_rows, states = model.document_rows(batch.documents, header_rows, batch.skipped)
    attention = TailAttention(batch, header_rows, document_rows)
    logits = model.tail_logits(batch.tails, len(HEADER) + batch.length, attention)[:, -ANSWER_LENGTH:]
    answer_loss = F.cross_entropy(logits.flatten(0, 1), batch.answers.flatten())
    quiet_loss = F.relu(model.lm_head(states).abs() - QUIET).pow(2).mean()
    margins = torch.stack([attention.margins[l] for l in NOPE_LAYERS])
    margin_loss = F.relu(MARGIN - margins).pow(2).mean() / MARGIN  # squared: the worst cases count most
    right = (logits.argmax(-1) == batch.answers).all(-1).float().mean()
    stats = {"answer": answer_loss.item(), "margin": margin_loss.item(), "quiet": quiet_loss.item(),
             "right": right.item(), "worst_margin": margins.min().item()}
    return answer_loss + 0.1 * margin_loss + quiet_loss, stats


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=260)
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(2)
    args.out.mkdir(parents=True, exist_ok=True)
    model, info = initial_model(args.seed)
    print("initial", info, "parameters", sum(p.numel() for p in model.parameters()), flush=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: min(1, (s + 1) / 50) * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * s / args.steps))))
    start, window = time.time(), []
    for step in range(args.steps + 1):
        batch = Batch(np.random.default_rng([args.seed, step]), args.questions)
        loss, stats = loss_and_stats(model, batch)
        window.append(stats)
        if step % 20 == 0:
            mean = {k: sum(s[k] for s in window) / len(window) for k in stats}
            worst = min(s["worst_margin"] for s in window)
            print(f"step {step} answer {mean['answer']:.5f} margin_loss {mean['margin']:.4f} "
                  f"quiet {mean['quiet']:.4f} worst_margin {worst:.1f} right {mean['right']:.4f} seconds {time.time() - start:.0f}", flush=True)
            window = []
        if step % 100 == 0:
            torch.save(model.state_dict(), args.out / "model.pt")
        if step < args.steps:
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    torch.save(model.state_dict(), args.out / "model.pt")


if __name__ == "__main__":
    main()
