#!/usr/bin/env python3
"""Fits the weights of crates/answer/src/choose.rs on the tuning half of a question set.

    ibid eval sample tests/questions/questions.json --split tuning --mode quote --passages 6 --evidence --json > evidence.json
    python3 bench/evidence/fit.py evidence.json

The model is a softmax over all units of the passages that were composed for a question and one more choice, to refuse,
whose score is the threshold. An answerable question wants any of its gold units, an unanswerable one the refusal; a
question whose passages hold no gold is left out. The weights are those of the highest likelihood under a Gaussian prior of
mean 0 (--ridge). Cross-validation over questions shows what the weights are worth on questions they were not fitted on.
Needs numpy and scipy.
"""
import argparse
import json

import numpy as np
from scipy.optimize import minimize

SIGNALS = ["coverage", "near", "context", "rank", "fit", "mass", "draft", "expected", "heading", "news"]
# What is said for a unit cannot count against it: a weight of the other sign would be noise of a small question set.
FOR = {"coverage", "near", "context", "rank", "fit", "mass", "draft", "expected"}
BOUNDS = [(0, None) if signal in FOR else (None, None) for signal in SIGNALS] + [(None, None)]


def load(path, passages):
    """[(name, kind, features [units + 1, signals + 1], gold [units + 1])]; the last row is the refusal."""
    report = json.load(open(path))
    questions = []
    for result in report["modes"][0]["results"]:
        units = [unit for unit in result["units"] if unit["passage"] < passages]
        x = np.array([[unit["evidence"][s] for s in SIGNALS] + [0.0] for unit in units]).reshape(-1, len(SIGNALS) + 1)
        x = np.vstack([x, [0.0] * len(SIGNALS) + [1.0]])
        unanswerable = result["kind"] == "unanswerable"
        gold = np.array([unit["gold"] for unit in units] + [unanswerable])
        questions.append((result["id"], result["kind"], x, gold))
    return questions


def loss(weights, questions, ridge):
    """Negative log-likelihood and its gradient."""
    value, slope = ridge * weights @ weights, 2 * ridge * weights
    for _, _, x, gold in questions:
        scores = x @ weights
        p = np.exp(scores - scores.max())
        of_all = p / p.sum()
        of_gold = np.where(gold, p, 0) / p[gold].sum()
        value -= np.log(of_all[gold].sum())
        slope = slope + x.T @ (of_all - of_gold)
    return value, slope


def fit(questions, ridge):
    known = [q for q in questions if q[3].any()]
    start = np.zeros(len(SIGNALS) + 1)
    return minimize(loss, start, args=(known, ridge), jac=True, method="L-BFGS-B", bounds=BOUNDS).x


def right(weights, question):
    _, _, x, gold = question
    return bool(gold[np.argmax(x @ weights)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("evidence")
    parser.add_argument("--ridge", type=float, default=0.5)
    parser.add_argument("--passages", type=int, default=6, help="take only the first so many passages of a question")
    parser.add_argument("--folds", type=int, default=10)
    args = parser.parse_args()
    questions = load(args.evidence, args.passages)
    held_out = {}
    for fold in range(args.folds):
        weights = fit([q for i, q in enumerate(questions) if i % args.folds != fold], args.ridge)
        for question in questions[fold :: args.folds]:
            held_out.setdefault(question[1], []).append(right(weights, question))
    for kind, marks in sorted(held_out.items()):
        print(f"{kind:<14} {sum(marks):>3} of {len(marks)} in cross-validation")
    everything = [mark for marks in held_out.values() for mark in marks]
    print(f"{'all':<14} {sum(everything):>3} of {len(everything)}")
    weights = fit(questions, args.ridge)
    print(f"fitted on all: {sum(right(weights, q) for q in questions)} of {len(questions)}")
    for name, weight in zip(SIGNALS + ["threshold"], weights):
        print(f"    {name}: {weight:.2f},")


if __name__ == "__main__":
    main()
