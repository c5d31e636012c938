-- Events as they came, and what is asked for of them. An event's tags stand in the
-- order of answers, so that one tag's newest events are read without sorting.
CREATE TABLE events (
  seq        INTEGER PRIMARY KEY,
  id         BLOB NOT NULL UNIQUE,
  pubkey     BLOB NOT NULL,
  kind       INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  address    TEXT,    -- of a replaceable or addressable event
  expires    INTEGER, -- NIP-40; deletions do not
  json       BLOB NOT NULL
);
CREATE INDEX by_time ON events (created_at DESC, id);
CREATE INDEX by_kind ON events (kind, created_at DESC, id);
CREATE INDEX by_author ON events (pubkey, kind, created_at DESC, id);
CREATE INDEX by_address ON events (address) WHERE address IS NOT NULL;
CREATE INDEX by_expiry ON events (expires) WHERE expires IS NOT NULL;

CREATE TABLE tags (
  name       TEXT NOT NULL, -- one letter
  value      TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  id         BLOB NOT NULL,
  PRIMARY KEY (name, value, created_at DESC, id)
) WITHOUT ROWID;
