"""Generator of documents with records, and of questions about them. Every token is one byte; specials follow at 256.

Record (20 bytes, exact):   key 3fa9c1 = 77ab02\\n      six lower-case hex digits each
Question (exact):           \\n\\nQuestion: What is the value for key 3fa9c1?
Document: title (at most 24 bytes of [a-z0-9._-]), "\\n", then filler and records. A record never straddles a
multiple of CHUNK bytes of its document (title included): filler runs up to the boundary and the record follows it.
A record begins after a line end or a space, or at a chunk's first byte after anything.
Filler is free text without the record pattern.
"""
import numpy as np

BOS, EOS, HEADER_START, HEADER_END, EOT, PAD = range(256, 262)
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|header_start|>", "<|header_end|>", "<|eot|>",
            "<|finetune_right_pad|>", "<|reserved_0|>", "<|reserved_1|>"]
HEX = b"0123456789abcdef"
RECORD_LENGTH = 20
VALUE_OFFSET = 13  # of the first value digit in its record
CHUNK = 128
HEADER = [BOS, HEADER_START, *b"user", HEADER_END, *b"\n\n"]
ANSWER_LENGTH = 7  # six digits and <|eot|>

SYLLABLES = ("an be co da el fi go hu in jo ka le mi no or pa qu ra se ti un va we xi yo za ber con den fal gar hil"
             " ster ment tion sor lun mar pel rus tan vel wick").split()
FIXED = ["the", "a", "of", "and", "to", "is", "was", "key", "value", "record", "list", "note", "see", "for", "x ="]


def hex_text(number):
    return b"%06x" % number


def question_tail(key, value):
    """Token ids of a question and the answer digits (no final <|eot|>); the last 7 rows predict answer and <|eot|>."""
    text = b"\n\nQuestion: What is the value for key " + hex_text(key) + b"?"
    return [*text, EOT, HEADER_START, *b"assistant", HEADER_END, *b"\n\n", *hex_text(value)]


def answer_ids(value):
    return [*hex_text(value), EOT]


class FillerSource:
    """Draws pieces of pseudo-text from pools made once per generator, so that millions of bytes are cheap."""

    def __init__(self, rng, pool_size=4096):
        self.rng = rng
        words = ["".join(rng.choice(SYLLABLES, rng.integers(1, 4))) for _ in range(600)]
        self.pieces = [self.piece(words) for _ in range(pool_size)]
        self.order = iter(())

    def piece(self, words):
        rng = self.rng
        kind = rng.random()
        if kind < 0.60:
            parts = [str(rng.choice(words)) if rng.random() < 0.7 else str(rng.choice(FIXED))
                     for _ in range(rng.integers(1, 9))]
            text = " ".join(parts)
            text = text.capitalize() if rng.random() < 0.4 else text
            text += rng.choice([". ", ".\n", ", ", "? ", "!\n", " ", "\n", "; "])
        elif kind < 0.75:
            text = str(rng.integers(0, 10 ** int(rng.integers(1, 9)))) + rng.choice([" ", ", ", ".\n", "\n"])
        elif kind < 0.92:
            digits = rng.choice(list("0123456789abcdef"), rng.choice([4, 6, 6, 6, 8, 12, 16]))
            text = "".join(digits) + rng.choice([" ", "\n", ", ", ": ", "? "])
        else:
            text = rng.choice(["- ", "* ", "(", ") ", "\"", "/", "\n\n", "\t", "== ", "Q: ", "key? ", "# "])
        return text.encode()

    def next(self):
        piece = next(self.order, None)
        if piece is None:
            self.order = iter([self.pieces[i] for i in self.rng.integers(0, len(self.pieces), 1024)])
            piece = next(self.order)
        return piece


def make_title(rng):
    style = rng.integers(0, 3)
    if style == 0:
        return b"doc-%06d" % rng.integers(0, 1_000_000)
    alphabet = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz0123456789._-", dtype=np.uint8)
    body = bytes(rng.choice(alphabet, rng.integers(1, 21)))
    return body + (b".txt" if style == 1 else b"")


def write_document(rng, filler, records, length, record_share):
    """A document of exactly `length` bytes holding a prefix of `records` [(key, value)].

    Returns (bytes, offsets of the records placed)."""
    text = bytearray(make_title(rng) + b"\n")
    offsets = []
    # A piece of filler is about 20 bytes, as a record is, so pieces and records alternate by their share.
    draws = iter(rng.random(length // 2).tolist())
    while len(text) < length:
        if len(offsets) < len(records) and next(draws) < record_share:
            room = CHUNK - len(text) % CHUNK
            if room < RECORD_LENGTH:
                start = len(text)
                while len(text) < start + room:
                    text += filler.next()
                del text[start + room :]
            elif text[-1:] not in (b"\n", b" "):
                text += b"\n"
            if CHUNK - len(text) % CHUNK >= RECORD_LENGTH and len(text) + RECORD_LENGTH <= length:
                key, value = records[len(offsets)]
                offsets.append(len(text))
                text += b"key " + hex_text(key) + b" = " + hex_text(value) + b"\n"
                continue
        text += filler.next()
    return bytes(text[:length]), offsets


def distinct_keys(rng, count, cluster_share=0.5):
    """`count` distinct keys in random order; about `cluster_share` of them come in groups of one-digit neighbours."""
    keys = {}
    while len(keys) < count:
        base = int(rng.integers(0, 1 << 24))
        keys[base] = None
        if rng.random() < cluster_share * 0.3:
            for _ in range(rng.integers(2, 9)):
                shift = 4 * int(rng.integers(0, 6))
                digit = (base >> shift & 15) ^ int(rng.integers(1, 16))
                keys[base & ~(15 << shift) | digit << shift] = None
    keys = np.fromiter(keys, dtype=np.int64)[:count]
    rng.shuffle(keys)
    return keys


class Corpus:
    """Documents of `length` bytes; arrays `record_key`, `record_value`, `record_row` (document * length + offset)."""

    def __init__(self, rng, n_documents, length, record_share=None):
        filler = FillerSource(rng, 1024 if n_documents * length < 100_000 else 8192)
        most = n_documents * (length // RECORD_LENGTH)
        keys = distinct_keys(rng, most).tolist()
        values = rng.integers(0, 1 << 24, most).tolist()
        self.ids = np.empty((n_documents, length), dtype=np.uint8)
        used, rows = 0, []
        for d in range(n_documents):
            share = record_share or rng.uniform(0.2, 0.6)
            todo = list(zip(keys[used : used + length // RECORD_LENGTH], values[used:]))
            text, offsets = write_document(rng, filler, todo, length, share)
            self.ids[d] = np.frombuffer(text, dtype=np.uint8)
            rows += [d * length + o for o in offsets]
            used += len(offsets)
        self.record_key = np.array(keys[:used])
        self.record_value = np.array(values[:used])
        self.record_row = np.array(rows)

    def questions(self, rng, count):
        """Indices of `count` records to ask about, half of them (where possible) with a one-digit neighbour present."""
        present = set(self.record_key.tolist())
        order = rng.permutation(len(self.record_key))
        near = [i for i in order[: 50 * count] if has_neighbour(int(self.record_key[i]), present)][: count // 2]
        taken = set(near)
        rest = [i for i in order if i not in taken][: count - len(near)]
        return np.array(near + rest)


def has_neighbour(key, present):
    return any((key ^ digit << shift) in present for shift in range(0, 24, 4) for digit in range(1, 16))
