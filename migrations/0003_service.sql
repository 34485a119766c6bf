-- What `ibid serve` keeps: who may call, what was replied, conversations, and answers from before they are complete.

-- The secret of a key is shown once and stored nowhere: `hash` is what finds the key again.
CREATE TABLE api_key (
    id           TEXT PRIMARY KEY,
    owner_id     TEXT NOT NULL,
    name         TEXT NOT NULL,
    hash         BLOB NOT NULL UNIQUE,
    scopes       TEXT NOT NULL, -- JSON array of words
    -- JSON array of corpus ids; null: all of them. Not rows that go with the corpus: a key whose only corpus was
    -- removed opens nothing, it must not open everything.
    corpora      TEXT,
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER,
    last_used_ms INTEGER,
    revoked_ms   INTEGER
) STRICT;
CREATE INDEX api_key_owner ON api_key (owner_id, id);

CREATE TABLE browser_session (
    hash       BLOB PRIMARY KEY,
    key_id     TEXT NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX browser_session_key ON browser_session (key_id);

CREATE TABLE conversation (
    id         TEXT PRIMARY KEY,
    owner_id   TEXT NOT NULL,
    corpus_id  TEXT NOT NULL REFERENCES corpus (id) ON DELETE CASCADE,
    title      TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL -- when its newest answer was asked for
) STRICT;
CREATE INDEX conversation_owner ON conversation (owner_id, id);
CREATE INDEX conversation_corpus ON conversation (corpus_id);

-- An answer has a row from the moment its question is accepted. Until it runs, its corpus version is 0, which shows
-- nothing, and its model is ''; until it is complete, grounding and text are '', usage and detail are {}.
ALTER TABLE answer ADD COLUMN conversation_id TEXT REFERENCES conversation (id) ON DELETE CASCADE;
ALTER TABLE answer ADD COLUMN request TEXT NOT NULL DEFAULT '{}'; -- JSON: what is needed to run it again
ALTER TABLE answer ADD COLUMN error TEXT; -- JSON: why it failed
DROP INDEX answer_corpus;
CREATE INDEX answer_corpus ON answer (corpus_id, id);
CREATE INDEX answer_conversation ON answer (conversation_id, id);
CREATE INDEX answer_owner ON answer (owner_id);
CREATE INDEX answer_unfinished ON answer (status) WHERE status IN ('queued', 'running');

-- What a listener was told while the answer ran, so that a stream can be taken up again. Holds document text: it goes
-- with the first document that the answer was composed from.
CREATE TABLE answer_event (
    answer_id TEXT NOT NULL REFERENCES answer (id) ON DELETE CASCADE,
    seq       INTEGER NOT NULL, -- 0, 1, …
    kind      TEXT NOT NULL,
    data      TEXT NOT NULL, -- JSON
    PRIMARY KEY (answer_id, seq)
) STRICT, WITHOUT ROWID;

-- The reply to a request that carried an Idempotency-Key. One that tells of an answer or a corpus goes with it.
CREATE TABLE idempotency (
    owner_id    TEXT NOT NULL,
    key         TEXT NOT NULL,
    route       TEXT NOT NULL, -- method and path
    fingerprint BLOB NOT NULL, -- of the request body
    state       TEXT NOT NULL CHECK (state IN ('running', 'done')),
    status      INTEGER NOT NULL DEFAULT 0, -- HTTP
    headers     TEXT NOT NULL DEFAULT '{}', -- JSON
    body        BLOB NOT NULL DEFAULT x'',
    answer_id   TEXT REFERENCES answer (id) ON DELETE CASCADE,
    corpus_id   TEXT REFERENCES corpus (id) ON DELETE CASCADE,
    created_ms  INTEGER NOT NULL,
    PRIMARY KEY (owner_id, key)
) STRICT;
CREATE INDEX idempotency_created ON idempotency (created_ms);
CREATE INDEX idempotency_answer ON idempotency (answer_id);
CREATE INDEX idempotency_corpus ON idempotency (corpus_id);

ALTER TABLE corpus ADD COLUMN last_asked_ms INTEGER;
UPDATE corpus SET last_asked_ms = (SELECT max(created_ms) FROM answer WHERE corpus_id = corpus.id);
CREATE INDEX document_corpus ON document (corpus_id, id);
CREATE INDEX job_owner ON job (owner_id, id);

PRAGMA user_version = 3;
