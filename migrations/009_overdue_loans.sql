-- The helper at the counter wants one list: who is late, with what, since when.
CREATE VIEW overdue_loans AS
SELECT
    loans.id AS loan_id,
    members.name AS member,
    members.email,
    tools.name AS tool,
    loans.due_on,
    CAST(julianday('now') - julianday(loans.due_on) AS INTEGER) AS days_late
FROM loans
JOIN members ON members.id = loans.member_id
JOIN tools ON tools.id = loans.tool_id
WHERE loans.back_on IS NULL AND loans.due_on < date('now');
