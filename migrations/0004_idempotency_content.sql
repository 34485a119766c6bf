-- Digest of what an upload held, of a reply to one: its body is too long for the fingerprint, which is taken first.
ALTER TABLE idempotency ADD COLUMN content BLOB;

PRAGMA user_version = 4;
