#!/usr/bin/env python3
"""Times questions to a running service: idle, beside an ingest, and eight at once against eight in a row.

    ibid serve &
    bench/service/schedule.py --corpus CORPUS_ID --upload examples/corpus/elements.txt

Every question goes over REST. The time to the first token is that until the first `text.delta` of a stream. The upload goes
into a corpus of its own, which is deleted in the end, and must take longer to read than the questions take.
"""

import argparse
import json
import statistics
import threading
import time
import urllib.request
import uuid

QUESTIONS = [
    "Who invented the Monotype machine?",
    "How long is the Project Secretary's term of office?",
    "What does a recipe in just begin with?",
    "Which triangles are equal to one another?",
    "How does SQLite test for out of memory?",
    "What can corrupt a database file?",
    "What was the population of Texas?",
    "What is the em square?",
]
OUTPUT_TOKENS = 64


def request(base, method, path, body=None, headers=None):
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json"} | (headers or {})
    return urllib.request.urlopen(urllib.request.Request(base + path, data, headers, method=method))


def call(base, method, path, body=None, headers=None):
    with request(base, method, path, body, headers) as reply:
        return json.load(reply)


def ask(base, corpus, question):
    """Seconds to the first text and to the end; output tokens."""
    began, first = time.monotonic(), None
    body = {"question": question, "mode": "free", "max_output_tokens": OUTPUT_TOKENS, "stream": True}
    with request(base, "POST", f"/v1/corpora/{corpus}/answers", body) as stream:
        event = ""
        for line in stream:
            line = line.decode().rstrip("\n")
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "text.delta":
                first = first or time.monotonic() - began
            elif line.startswith("data: ") and event == "answer.completed":
                tokens = json.loads(line.removeprefix("data: "))["usage"]["output_tokens"]
    total = time.monotonic() - began
    return first or total, total, tokens


def at_once(base, corpus):
    began = time.monotonic()
    threads = [threading.Thread(target=ask, args=(base, corpus, question)) for question in QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.monotonic() - began


def in_a_row(base, corpus):
    began = time.monotonic()
    for question in QUESTIONS:
        ask(base, corpus, question)
    return time.monotonic() - began


def upload(base, path):
    corpus = call(base, "POST", "/v1/corpora", {"name": f"schedule-{uuid.uuid4()}"})["id"]
    border = uuid.uuid4().hex
    with open(path, "rb") as file:
        content = file.read()
    # Other text than any corpus holds already: parts that are known would not be computed.
    content = f"{uuid.uuid4()}\n".encode() + content
    head = f'--{border}\r\nContent-Disposition: form-data; name="files"; filename="read.txt"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{border}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={border}"}
    job = call(base, "POST", f"/v1/corpora/{corpus}/documents", body, headers)["job_id"]
    while call(base, "GET", f"/v1/jobs/{job}")["progress"]["stage"] != "prefill":
        time.sleep(0.2)
    return corpus, job


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--base", default="http://127.0.0.1:8080")
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--upload", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    base, corpus = args.base, args.corpus
    in_a_row(base, corpus)
    ratios, pairs = [], []
    for _ in range(args.rounds):
        row, once = in_a_row(base, corpus), at_once(base, corpus)
        ratios.append(once / row)
        pairs.append((row, once))
    idle = [ask(base, corpus, question)[0] for _ in range(args.rounds) for question in QUESTIONS]
    reading, job = upload(base, args.upload)
    before = call(base, "GET", f"/v1/jobs/{job}")
    beside = [ask(base, corpus, question)[0] for _ in range(args.rounds) for question in QUESTIONS]
    after = call(base, "GET", f"/v1/jobs/{job}")
    if after["state"] != "running":
        raise SystemExit("the upload was read before the questions ended; give a longer one")
    call(base, "POST", f"/v1/jobs/{job}/cancel")
    call(base, "DELETE", f"/v1/corpora/{reading}")
    result = {
        "in_a_row_s": [row for row, _ in pairs],
        "at_once_s": [once for _, once in pairs],
        "at_once_over_in_a_row": statistics.median(ratios),
        "first_token_idle_s": statistics.median(idle),
        "first_token_beside_ingest_s": statistics.median(beside),
        "beside_over_idle": statistics.median(beside) / statistics.median(idle),
        "prefilled_while_asking": after["progress"]["done"] - before["progress"]["done"],
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
