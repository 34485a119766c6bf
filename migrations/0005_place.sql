-- Where on disk the bytes of a document version were found: two folders of one name must not pass for one. Null: they
-- came over the network or from an archive, or nobody noted it.
ALTER TABLE document_version ADD COLUMN place TEXT;

PRAGMA user_version = 5;
