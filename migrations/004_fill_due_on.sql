-- Loans from before the due date get the two weeks that everybody had been told.
-- skip-if: SELECT NOT EXISTS (SELECT 1 FROM loans WHERE due_on IS NULL)
-- verify: SELECT NOT EXISTS (SELECT 1 FROM loans WHERE due_on IS NULL OR due_on < lent_on)
UPDATE loans SET due_on = date(lent_on, '+14 days') WHERE due_on IS NULL;
