"""The database schema, as a list of appended migrations. A released migration is never changed."""

from __future__ import annotations

from sqlite_utils import Database, Migrations

migrations = Migrations("penpal")


@migrations()
def m001_first_schema(db: Database) -> None:
    """Drafts, feedback, encoders."""
    for statement in _FIRST_SCHEMA.strip().split(";\n\n"):
        db.execute(statement)


@migrations()
def m002_reasons_contexts_vectors(db: Database) -> None:
    """Why an act was done, what an answer was about, and what the encoder read, cached."""
    for statement in _SECOND_SCHEMA.strip().split(";\n\n"):
        db.execute(statement)


@migrations()
def m004_strength(db: Database) -> None:
    """How sure a choice was."""
    for statement in _FOURTH_SCHEMA.strip().split(";\n\n"):
        db.execute(statement)


@migrations()
def m003_search_branches_deletion(db: Database) -> None:
    """Every text can be searched; conversations can be deleted and branch off; what was chosen once is remembered."""
    for statement in _THIRD_SCHEMA.strip().split(";\n\n"):
        db.execute(statement)
    for table, column in {"conversations": "title", "turns": "prompt", "drafts": "text", "feedback": "text"}.items():
        db.table(table).enable_fts([column], create_triggers=True, tokenize="unicode61 remove_diacritics 2")


@migrations()
def m005_what_was_learned(db: Database) -> None:
    """Conversations that teach nothing, what each turn taught, and the questions of the morning after a run."""
    for statement in _FIFTH_SCHEMA.strip().split(";\n\n"):
        db.execute(statement)


@migrations()
def m007_forgetting(db: Database) -> None:
    """What was forgotten: how much and when, which numbers it had, and which voices were trained on it."""
    for statement in _SEVENTH_SCHEMA.strip().split(";\n\n"):
        db.execute(statement)


# SQLite pastes an added column into the text of its table, with a comment that follows it: these stand before.
_SECOND_SCHEMA = """
-- why: 'wrong fact', 'shorter'
ALTER TABLE feedback ADD COLUMN note TEXT;

-- 1: the pair had been answered before
ALTER TABLE feedback ADD COLUMN again INTEGER NOT NULL DEFAULT 0;

-- which one stood on the left
ALTER TABLE feedback ADD COLUMN left_draft_id INTEGER REFERENCES drafts(id);

-- 'mail', 'review', ... as the person tagged it; NULL: inferred from the prompt
ALTER TABLE turns ADD COLUMN context TEXT;

CREATE TABLE vectors (
    space TEXT NOT NULL,            -- SHA-256 of the CLaP weights that read the text
    key TEXT NOT NULL,              -- SHA-256 of what was read
    value BLOB NOT NULL,            -- float32
    PRIMARY KEY (space, key)
) WITHOUT ROWID;
"""

_FOURTH_SCHEMA = """
-- 'slight', 'clear'; NULL: it was not asked
ALTER TABLE feedback ADD COLUMN strength TEXT CHECK (strength IN ('slight', 'clear'));
"""

_THIRD_SCHEMA = """
-- NULL: it is there; a deleted one can come back whole
ALTER TABLE conversations ADD COLUMN deleted_utc TEXT;

-- it shares the turns of another conversation that came before this one
ALTER TABLE conversations ADD COLUMN branched_before_turn_id INTEGER REFERENCES turns(id);

CREATE TABLE preferences (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
"""

_FIFTH_SCHEMA = """
-- 0: nothing is learned from it
ALTER TABLE conversations ADD COLUMN learning INTEGER NOT NULL DEFAULT 1;

-- a cache: everything in it follows from other tables
CREATE TABLE digests (
    turn_id INTEGER PRIMARY KEY REFERENCES turns(id) ON DELETE CASCADE,
    rules INTEGER NOT NULL,         -- which rules it was made by
    seen_act INTEGER NOT NULL,      -- the newest act there was
    backbone_id TEXT,               -- NULL: no drafts, or drafts of several
    lessons INTEGER NOT NULL,       -- evidence with weight
    kept_act INTEGER,               -- the acceptance in force; NULL: nothing is kept
    kept_utc TEXT,
    kept_encoder_id TEXT,           -- of the draft that was kept; NULL: generic
    changed REAL                    -- share of its words that the person changed; NULL: it was not written to its end
);

CREATE INDEX digests_by_act ON digests(rules, seen_act);

CREATE INDEX digests_by_kept ON digests(kept_act) WHERE kept_act IS NOT NULL;

CREATE INDEX drafts_by_encoder ON drafts(encoder_id);

CREATE TABLE comparisons (
    turn_id INTEGER PRIMARY KEY REFERENCES turns(id) ON DELETE CASCADE,
    asked_turn_id INTEGER NOT NULL REFERENCES turns(id) ON DELETE CASCADE,  -- whose prompt came back
    new_encoder_id TEXT NOT NULL REFERENCES encoders(id),
    old_encoder_id TEXT REFERENCES encoders(id),    -- NULL: generic
    created_utc TEXT NOT NULL
);

CREATE TABLE comparison_events (
    id INTEGER PRIMARY KEY,
    new_encoder_id TEXT NOT NULL REFERENCES encoders(id),
    kind TEXT NOT NULL CHECK (kind IN ('offered', 'declined', 'confirmed', 'rolled back', 'reopened')),
    created_utc TEXT NOT NULL
);
"""

_SEVENTH_SCHEMA = """
CREATE TABLE forgettings (
    id INTEGER PRIMARY KEY,
    what TEXT NOT NULL CHECK (what IN ('draft', 'conversation', 'range', 'search', 'deleted', 'everything')),
    conversations INTEGER NOT NULL, -- how many of each went
    turns INTEGER NOT NULL,
    drafts INTEGER NOT NULL,
    feedback INTEGER NOT NULL,
    swept_utc TEXT,                 -- when their traces were gone from the file too; NULL: not yet
    created_utc TEXT NOT NULL
);

CREATE TABLE tombstones (
    of_table TEXT NOT NULL CHECK (of_table IN ('conversations', 'turns', 'drafts', 'feedback')),
    id INTEGER NOT NULL,            -- of the row that is gone; no other row gets it
    forgetting_id INTEGER NOT NULL REFERENCES forgettings(id),
    PRIMARY KEY (of_table, id)
) WITHOUT ROWID;

CREATE TABLE encoder_forgets (
    encoder_id TEXT NOT NULL REFERENCES encoders(id),
    forgetting_id INTEGER NOT NULL REFERENCES forgettings(id),
    choices INTEGER NOT NULL,       -- that it was trained on
    PRIMARY KEY (encoder_id, forgetting_id)
) WITHOUT ROWID;
"""

_FIRST_SCHEMA = """
CREATE TABLE backbones (
    id TEXT PRIMARY KEY,            -- SHA-256 of the GGUF
    path TEXT NOT NULL,
    added_utc TEXT NOT NULL
);

CREATE TABLE encoders (
    id TEXT PRIMARY KEY,            -- SHA-256 of the file
    file TEXT NOT NULL,             -- name below PENPAL_HOME/encoders
    origin TEXT NOT NULL CHECK (origin IN ('personalized', 'imported')),
    parent_id TEXT REFERENCES encoders(id),
    backbone_id TEXT NOT NULL,
    clap_id TEXT NOT NULL,          -- SHA-256 of the CLaP weights it belongs to
    pairs INTEGER NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('kept', 'rejected')),
    report TEXT NOT NULL,           -- JSON
    created_utc TEXT NOT NULL
);

CREATE TABLE encoder_activations (
    id INTEGER PRIMARY KEY,
    encoder_id TEXT REFERENCES encoders(id),    -- NULL: generic
    reason TEXT NOT NULL,
    created_utc TEXT NOT NULL
);

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('chat', 'rate', 'write', 'demo')),
    created_utc TEXT NOT NULL
);

CREATE TABLE turns (
    id INTEGER PRIMARY KEY,
    conversation_id INTEGER NOT NULL REFERENCES conversations(id),
    prompt TEXT NOT NULL,
    messages TEXT NOT NULL,         -- JSON: the whole conversation as the decoder saw it
    created_utc TEXT NOT NULL
);

CREATE TABLE drafts (
    id INTEGER PRIMARY KEY,
    turn_id INTEGER NOT NULL REFERENCES turns(id),
    side INTEGER NOT NULL,          -- 0 left, 1 right
    text TEXT NOT NULL DEFAULT '',
    status TEXT NOT NULL CHECK (status IN ('writing', 'done', 'cancelled', 'failed')),
    finish TEXT NOT NULL DEFAULT '',
    z TEXT,                         -- JSON list of the latent; NULL: the untouched backbone
    encoder_id TEXT REFERENCES encoders(id),
    backbone_id TEXT NOT NULL,
    sampling TEXT NOT NULL,         -- JSON
    seed INTEGER NOT NULL,
    tokens INTEGER NOT NULL DEFAULT 0,
    duration_ms INTEGER,
    created_utc TEXT NOT NULL
);

CREATE TABLE feedback (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN
        ('pick', 'tie', 'both_bad', 'skip', 'edit', 'redo', 'accept', 'star', 'undo')),
    turn_id INTEGER NOT NULL REFERENCES turns(id),
    draft_id INTEGER REFERENCES drafts(id),         -- the draft it is about, the chosen one of a pick
    other_draft_id INTEGER REFERENCES drafts(id),   -- the rejected one of a pick
    text TEXT,                                      -- the edited or accepted text
    undoes_id INTEGER REFERENCES feedback(id),
    created_utc TEXT NOT NULL
);

CREATE TABLE unsaved_texts (
    place TEXT PRIMARY KEY,         -- 'composer', 'edit of draft 12', ...
    text TEXT NOT NULL,
    updated_utc TEXT NOT NULL
);

CREATE TABLE parity_checks (
    id INTEGER PRIMARY KEY,
    runtime TEXT NOT NULL,          -- version of llama-cpp-python
    backbone_id TEXT NOT NULL,
    clap_id TEXT NOT NULL,
    kl REAL NOT NULL,               -- nats per token
    passed INTEGER NOT NULL,
    created_utc TEXT NOT NULL
);

CREATE INDEX turns_by_conversation ON turns(conversation_id);

CREATE INDEX drafts_by_turn ON drafts(turn_id);

CREATE INDEX feedback_by_turn ON feedback(turn_id);
"""
