"""Objects that the operations of the interface can be called with, and fresh ones for those that end one."""

import itertools

from service import Client

# Enough KV for the seeds and for whatever is uploaded in a test, too little for `too_much`.
CONFIG = "[service]\nkv_bytes_per_owner = 100000000\n"

NOTES = b"""# Holmfield Allotments

The society looks after 64 plots on two fields. A full plot costs 54 pounds a year, a half plot costs 30 pounds.

Every new member pays a deposit of 40 pounds, which is returned when the plot is handed back.
"""
QUESTION = "How much is the deposit that every new member pays?"


def pdf(text: str) -> bytes:
    """A PDF of one page."""
    drawn = f"BT /F1 18 Tf 72 720 Td ({text}) Tj ET".encode()
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(drawn), drawn),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, places = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        len(out),
    )


def too_much() -> bytes:
    """More tokens than `CONFIG` allows KV for: the job that reads it fails."""
    return b" ".join(b"plot %d" % n for n in range(10_000))


class Seeds:
    def __init__(self, client: Client):
        self.client = client
        self.numbers = itertools.count(1)
        corpus = client.corpus("seeds")
        upload = client.upload(corpus, {"notes.md": NOTES, "rule.pdf": pdf("Water is turned off in November.")})
        job = client.ended(upload["job_id"])
        assert job["state"] == "succeeded", job
        document = upload["results"][1]["document_id"]
        conversation = client.post("/v1/conversations", {"corpus_id": corpus, "title": "Plots"})["id"]
        answer = client.ask(corpus, QUESTION, conversation_id=conversation)
        assert answer["citations"], answer
        failed = client.corpus("too much")
        failed_job = client.upload(failed, {"much.txt": too_much()})["job_id"]
        self.ids = {
            "corpus_id": corpus,
            "document_id": document,
            "file_id": client.get(f"/v1/documents/{document}")["file_id"],
            "answer_id": answer["id"],
            "conversation_id": conversation,
            "job_id": upload["job_id"],
        }
        self.failed_job = failed_job
        self.scratch = client.corpus("scratch")

    def fresh(self, operation: str) -> dict[str, str]:
        """Path parameters for an operation that ends what it is called with; empty for any other."""
        match operation:
            case "delete_corpus":
                return {"corpus_id": self.client.corpus(f"fresh {next(self.numbers)}")}
            case "delete_document":
                upload = self.upload(f"Plot {next(self.numbers)} is free.")
                self.client.ended(upload["job_id"])
                return {"document_id": upload["results"][0]["document_id"]}
            case "delete_conversation":
                return {"conversation_id": self.conversation()}
            case "delete_answer" | "cancel_answer":
                return {"answer_id": self.running_answer()}
            case "cancel_job":
                return {"job_id": self.upload(f"Plot {next(self.numbers)} is let. " * 200)["job_id"]}
            case "retry_job":
                assert self.client.ended(self.failed_job)["state"] == "failed"
                return {"job_id": self.failed_job}
            case _:
                return {}

    def upload(self, text: str) -> dict:
        return self.client.upload(self.scratch, {f"{next(self.numbers)}.txt": text.encode()})

    def conversation(self) -> str:
        return self.client.post("/v1/conversations", {"corpus_id": self.ids["corpus_id"]})["id"]

    def running_answer(self) -> str:
        path = f"/v1/corpora/{self.ids['corpus_id']}/answers"
        body = {"question": QUESTION, "mode": "free", "temperature": 100, "max_output_tokens": 400}
        return self.client.post(path, body, Prefer="respond-async")["id"]
