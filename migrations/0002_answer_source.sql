-- Which documents an answer was composed from, cited or not: when one is removed, everything that the answer says
-- without citing another goes with it.

CREATE TABLE answer_source (
    answer_id   TEXT NOT NULL REFERENCES answer (id) ON DELETE CASCADE,
    document_id TEXT NOT NULL,
    PRIMARY KEY (answer_id, document_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX answer_source_document ON answer_source (document_id);

-- Of answers given before it was noted: any document of the corpus.
INSERT INTO answer_source
SELECT answer.id, document.id FROM answer JOIN document ON document.corpus_id = answer.corpus_id;

PRAGMA user_version = 2;
