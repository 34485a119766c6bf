#!/usr/bin/env python3
"""Times the removal of documents over REST: from the request to the reply, when the document is gone and its bytes are.

    ibid serve &
    bench/service/remove.py --documents 1000

Makes a corpus of its own of so many small documents, removes some of them, asks a question that must prefill nothing,
and deletes the corpus in the end.
"""

import argparse
import json
import random
import statistics
import time
import urllib.request
import uuid

BATCH = 100
WORDS = (
    "harbour mill orchard ledger winter copper signal meadow engine letter bridge season market river "
    "lantern garden record village winding timber station harvest copperplate voyage"
).split()


def call(base, method, path, body=None, headers=None):
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = headers or {"content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(base + path, data, headers, method=method)) as reply:
        return json.load(reply)


def document(random_words, number, words):
    text = " ".join(random_words.choice(WORDS) + random_words.choice(["", "s", "", ""]) for _ in range(words))
    return f"Record {number}\n\nThe code of record {number} is {random_words.randrange(10**6):06d}. {text}.\n"


def upload(base, corpus, files):
    border = uuid.uuid4().hex
    parts = [
        f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n{text}\r\n'
        for name, text in files
    ]
    body = ("".join(parts) + f"--{border}--\r\n").encode()
    headers = {"content-type": f"multipart/form-data; boundary={border}"}
    return call(base, "POST", f"/v1/corpora/{corpus}/documents", body, headers)


def read(base, args, corpus):
    """Ids of the documents."""
    random_words = random.Random(1)
    ids, jobs = [], []
    for first in range(0, args.documents, BATCH):
        numbers = range(first, min(first + BATCH, args.documents))
        files = [(f"record-{n:06}.txt", document(random_words, n, args.words)) for n in numbers]
        accepted = upload(base, corpus, files)
        ids += [result["document_id"] for result in accepted["results"]]
        jobs.append(accepted["job_id"])
    for job in jobs:
        while (state := call(base, "GET", f"/v1/jobs/{job}")["state"]) in ("queued", "running"):
            time.sleep(0.2)
        if state != "succeeded":
            raise SystemExit(f"job {job} {state}")
    return ids


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="http://127.0.0.1:8080")
    parser.add_argument("--documents", type=int, default=1000)
    parser.add_argument("--words", type=int, default=100, help="of each document")
    parser.add_argument("--removals", type=int, default=20)
    args = parser.parse_args()
    corpus = call(args.base, "POST", "/v1/corpora", {"name": f"remove-{uuid.uuid4()}"})["id"]
    try:
        print(json.dumps(measure(args, corpus), indent=2))
    finally:
        call(args.base, "DELETE", f"/v1/corpora/{corpus}")


def measure(args, corpus):
    ids = read(args.base, args, corpus)
    removed = random.Random(2).sample(ids, args.removals)
    seconds = []
    for document_id in removed:
        began = time.monotonic()
        call(args.base, "DELETE", f"/v1/documents/{document_id}")
        seconds.append(time.monotonic() - began)
    question = {"question": "What is the code of record 7?"}
    usage = call(args.base, "POST", f"/v1/corpora/{corpus}/answers", question)["usage"]
    if usage["prefilled_corpus_tokens"]:
        raise SystemExit(f"{usage['prefilled_corpus_tokens']} tokens of the documents were prefilled again")
    return {
        "documents": args.documents,
        "seconds": seconds,
        "least_s": min(seconds),
        "median_s": statistics.median(seconds),
        "greatest_s": max(seconds),
    }


if __name__ == "__main__":
    main()
