-- The timeline is a projection of the log: all of it can be deleted and built
-- again. Its columns are not sealed one by one; the file's encryption covers
-- them. Payloads stay in the log, at the row's place, but for the text that is
-- searched.
CREATE TABLE timeline_groups (
  number INTEGER PRIMARY KEY,
  id     TEXT NOT NULL UNIQUE
);

CREATE TABLE timeline (
  place   INTEGER PRIMARY KEY, -- cursor of the entry that first told of it
  entry   INTEGER NOT NULL,    -- cursor of the entry that holds what is shown
  grp     INTEGER NOT NULL,
  id      BLOB NOT NULL,
  carrier BLOB NOT NULL,       -- the MLS message that shows it; the commit of a system row
  shown   INTEGER NOT NULL,
  system  INTEGER NOT NULL,
  overlay INTEGER NOT NULL,
  kind    INTEGER NOT NULL,
  author  BLOB NOT NULL,
  at      INTEGER NOT NULL,
  text    TEXT,                -- what search looks in; NULL when it is not found
  UNIQUE (grp, id)
);
CREATE INDEX timeline_pages ON timeline (grp, place) WHERE shown AND NOT overlay;
CREATE INDEX timeline_all ON timeline (place) WHERE shown AND NOT overlay;
CREATE INDEX timeline_commits ON timeline (grp, carrier) WHERE system;

-- Which message an edit, a deletion or a reaction refers to.
CREATE TABLE timeline_overlays (
  grp    INTEGER NOT NULL,
  target BLOB NOT NULL,
  place  INTEGER NOT NULL,
  PRIMARY KEY (grp, target, place)
) WITHOUT ROWID;

-- How far the log was read.
CREATE TABLE timeline_state (one INTEGER PRIMARY KEY CHECK (one = 1), cursor INTEGER NOT NULL);
INSERT INTO timeline_state VALUES (1, 0);

-- The group is a word of its own, so that a search in one group reads only its
-- messages. secure-delete takes words out at once instead of marking them.
CREATE VIRTUAL TABLE timeline_search USING fts5 (
  grp, text, content = '', tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO timeline_search (timeline_search, rank) VALUES ('secure-delete', 1);
