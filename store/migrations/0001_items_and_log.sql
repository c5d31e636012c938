-- What must survive, by key. Secret values are sealed with an AEAD bound to
-- the key, because the file system hides pages but does not authenticate them.
CREATE TABLE items (
  key    TEXT PRIMARY KEY,
  value  BLOB NOT NULL,
  sealed INTEGER NOT NULL
) WITHOUT ROWID;

-- What the application must learn, in order. An identity is never told twice.
CREATE TABLE log (
  cursor INTEGER PRIMARY KEY AUTOINCREMENT,
  id     TEXT NOT NULL UNIQUE,
  value  BLOB NOT NULL
);
