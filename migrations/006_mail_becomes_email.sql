-- Half of the members took `mail` for their postal address.
ALTER TABLE members RENAME COLUMN mail TO email;
