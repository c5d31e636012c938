-- From here on the id of a log entry is a blob of 24 or 30 bytes instead of a text
-- (log.go says which); those that are there are rewritten by Store.shortenLog.

-- Who wrote a row is a number.
CREATE TABLE timeline_people (
  number INTEGER PRIMARY KEY,
  key    BLOB NOT NULL UNIQUE
);
INSERT INTO timeline_people (key) SELECT DISTINCT author FROM timeline;
UPDATE timeline SET author = (SELECT number FROM timeline_people WHERE key = author);
