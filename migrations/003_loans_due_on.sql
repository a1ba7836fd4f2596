-- Members asked until when they may keep a tool.
ALTER TABLE loans ADD COLUMN due_on TEXT;
