-- A broken pressure washer was lent out twice: a broken tool stays on its shelf.
CREATE TRIGGER loans_not_of_broken_tools
BEFORE INSERT ON loans
WHEN (SELECT condition FROM tools WHERE id = NEW.tool_id) = 'broken'
BEGIN
    SELECT RAISE(ABORT, 'this tool is broken and stays in the shed');
END;
