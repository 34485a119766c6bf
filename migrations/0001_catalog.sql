-- The catalog of one data folder. Times are Unix milliseconds, digests 32 raw bytes, spans half-open.
-- Bytes (originals, canonical texts, KV segments) live in content-addressed files; rows name them by digest.

PRAGMA application_id = 1231186276; -- 'Ibid' as four ASCII bytes
PRAGMA user_version = 1;

CREATE TABLE corpus (
    id                TEXT PRIMARY KEY,
    owner_id          TEXT NOT NULL,
    name              TEXT NOT NULL,
    version           INTEGER NOT NULL DEFAULT 0, -- newest visible version; 0: nothing published yet
    model_name        TEXT,
    model_fingerprint TEXT,
    kv_dtype          TEXT,
    metadata          TEXT NOT NULL DEFAULT '{}',
    created_ms        INTEGER NOT NULL,
    updated_ms        INTEGER NOT NULL,
    UNIQUE (owner_id, name)
) STRICT;

-- One content-addressed file on disk. Its references are the rows that name it; it is dropped when the last one goes.
CREATE TABLE blob (
    kind   TEXT NOT NULL CHECK (kind IN ('original', 'text', 'pages', 'boxes', 'tokens')),
    digest BLOB NOT NULL,
    bytes  INTEGER NOT NULL,
    state  TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'dropped')),
    PRIMARY KEY (kind, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_dropped ON blob (state) WHERE state = 'dropped';

-- What an owner uploaded: the same bytes twice is the same file.
CREATE TABLE file (
    id         TEXT PRIMARY KEY,
    owner_id   TEXT NOT NULL,
    sha256     BLOB NOT NULL,
    bytes      INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (owner_id, sha256)
) STRICT;
CREATE INDEX file_sha256 ON file (sha256);

CREATE TABLE segment (
    digest BLOB PRIMARY KEY,
    bytes  INTEGER NOT NULL,
    state  TEXT NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'dropped'))
) STRICT, WITHOUT ROWID;
CREATE INDEX segment_dropped ON segment (state) WHERE state = 'dropped';

CREATE TABLE job (
    id               TEXT PRIMARY KEY,
    owner_id         TEXT NOT NULL,
    corpus_id        TEXT REFERENCES corpus (id) ON DELETE SET NULL,
    kind             TEXT NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    stage            TEXT NOT NULL DEFAULT '',
    done             INTEGER NOT NULL DEFAULT 0,
    total            INTEGER NOT NULL DEFAULT 0,
    unit             TEXT NOT NULL DEFAULT '',
    rate             REAL NOT NULL DEFAULT 0, -- units per second
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    error            TEXT, -- JSON
    params           TEXT NOT NULL DEFAULT '{}', -- JSON: what is needed to go on after a restart
    created_ms       INTEGER NOT NULL,
    heartbeat_ms     INTEGER NOT NULL,
    finished_ms      INTEGER
) STRICT;
CREATE INDEX job_unfinished ON job (state) WHERE state IN ('queued', 'running');
CREATE INDEX job_corpus ON job (corpus_id);

CREATE TABLE document (
    id         TEXT PRIMARY KEY,
    owner_id   TEXT NOT NULL,
    corpus_id  TEXT NOT NULL REFERENCES corpus (id) ON DELETE CASCADE,
    path       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (corpus_id, path)
) STRICT;

-- Visible in corpus version v when visible_from <= v and (visible_to is null or v < visible_to).
-- visible_from is null while the version is staged by job_id.
CREATE TABLE document_version (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: it is the key of the passage index
    document_id  TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    job_id       TEXT REFERENCES job (id) ON DELETE SET NULL,
    file_id      TEXT NOT NULL REFERENCES file (id),
    number       INTEGER NOT NULL, -- 1, 2, … within the document
    title        TEXT NOT NULL DEFAULT '',
    media_type   TEXT NOT NULL DEFAULT '',
    state        TEXT NOT NULL CHECK (state IN
                 ('queued', 'extracting', 'prefilling', 'ready', 'needs_ocr', 'needs_password', 'failed', 'deleting')),
    text_digest  BLOB,
    pages_digest BLOB,
    boxes_digest BLOB,
    tokens_digest BLOB,
    characters   INTEGER NOT NULL DEFAULT 0, -- code points of the canonical text
    pages        INTEGER NOT NULL DEFAULT 0,
    tokens       INTEGER NOT NULL DEFAULT 0,
    warnings     TEXT NOT NULL DEFAULT '[]', -- JSON array
    error        TEXT, -- JSON
    visible_from INTEGER,
    visible_to   INTEGER,
    created_ms   INTEGER NOT NULL,
    UNIQUE (document_id, number)
) STRICT;
CREATE INDEX document_version_job ON document_version (job_id);
CREATE INDEX document_version_file ON document_version (file_id);
CREATE INDEX document_version_text ON document_version (text_digest);
CREATE INDEX document_version_pages ON document_version (pages_digest);
CREATE INDEX document_version_boxes ON document_version (boxes_digest);
CREATE INDEX document_version_tokens ON document_version (tokens_digest);

CREATE TABLE part (
    version_id  INTEGER NOT NULL REFERENCES document_version (id) ON DELETE CASCADE,
    idx         INTEGER NOT NULL,
    token_start INTEGER NOT NULL,
    token_end   INTEGER NOT NULL,
    segment     BLOB NOT NULL, -- identity of the KV segment, known before it is computed
    state       TEXT NOT NULL CHECK (state IN ('planned', 'ready')),
    PRIMARY KEY (version_id, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX part_segment ON part (segment);

CREATE TABLE passage (
    version_id  INTEGER NOT NULL REFERENCES document_version (id) ON DELETE CASCADE,
    idx         INTEGER NOT NULL,
    byte_start  INTEGER NOT NULL,
    byte_end    INTEGER NOT NULL,
    token_start INTEGER NOT NULL,
    token_end   INTEGER NOT NULL,
    page_first  INTEGER, -- page index from 1
    page_last   INTEGER,
    heading     TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (version_id, idx)
) STRICT, WITHOUT ROWID;

-- What an ingest job set out to do with each document.
CREATE TABLE job_document (
    job_id      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    document_id TEXT NOT NULL REFERENCES document (id) ON DELETE CASCADE,
    change      TEXT NOT NULL CHECK (change IN ('added', 'changed', 'removed', 'unchanged')),
    PRIMARY KEY (job_id, document_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_document_document ON job_document (document_id);

CREATE TABLE answer (
    id                TEXT PRIMARY KEY,
    owner_id          TEXT NOT NULL,
    corpus_id         TEXT NOT NULL REFERENCES corpus (id) ON DELETE CASCADE,
    corpus_version    INTEGER NOT NULL,
    model_fingerprint TEXT NOT NULL,
    question          TEXT NOT NULL,
    mode              TEXT NOT NULL,
    seed              INTEGER NOT NULL, -- u64 bits
    status            TEXT NOT NULL,
    grounding         TEXT NOT NULL,
    text              TEXT NOT NULL,
    plan              TEXT, -- JSON: what replay needs; null once a source was removed
    usage             TEXT NOT NULL, -- JSON
    detail            TEXT NOT NULL, -- JSON: the rest of the REST object; holds no document text
    source_removed    INTEGER NOT NULL DEFAULT 0,
    created_ms        INTEGER NOT NULL
) STRICT;
CREATE INDEX answer_corpus ON answer (corpus_id);

-- document_id outlives the document: the citation then says source_removed and holds none of its text.
CREATE TABLE citation (
    answer_id      TEXT NOT NULL REFERENCES answer (id) ON DELETE CASCADE,
    number         INTEGER NOT NULL,
    answer_start   INTEGER NOT NULL, -- code points of answer.text
    answer_end     INTEGER NOT NULL,
    document_id    TEXT NOT NULL,
    version_id     INTEGER NOT NULL,
    title          TEXT NOT NULL,
    start_char     INTEGER NOT NULL, -- code points of the canonical text
    end_char       INTEGER NOT NULL,
    quote          TEXT NOT NULL,
    detail         TEXT NOT NULL, -- JSON: pages, boxes, context, verification, evidence
    source_removed INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (answer_id, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX citation_document ON citation (document_id);
