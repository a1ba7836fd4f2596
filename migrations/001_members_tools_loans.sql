-- The shed opens: who borrows, what can be borrowed, and what is out.
CREATE TABLE members (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    mail      TEXT NOT NULL UNIQUE,
    joined_on TEXT NOT NULL,
    left_on   TEXT
);

CREATE TABLE tools (
    id        INTEGER PRIMARY KEY,
    name      TEXT NOT NULL,
    shelf     TEXT NOT NULL,
    condition TEXT NOT NULL
);

CREATE TABLE loans (
    id        INTEGER PRIMARY KEY,
    member_id INTEGER NOT NULL REFERENCES members (id) ON DELETE CASCADE,
    tool_id   INTEGER NOT NULL REFERENCES tools (id) ON DELETE CASCADE,
    lent_on   TEXT NOT NULL,
    back_on   TEXT
);
