-- The same drill was once promised to two people: only one loan of a tool may be open.
CREATE UNIQUE INDEX loans_open ON loans (tool_id) WHERE back_on IS NULL;
