-- The shed was closed from 1 to 23 August 2026: what fell due meanwhile is due on the first day after.
-- skip-if: SELECT NOT EXISTS (SELECT 1 FROM loans WHERE back_on IS NULL AND due_on BETWEEN '2026-08-01' AND '2026-08-23')
-- verify: SELECT NOT EXISTS (SELECT 1 FROM loans WHERE back_on IS NULL AND due_on BETWEEN '2026-08-01' AND '2026-08-23')
UPDATE loans SET due_on = '2026-08-24'
WHERE back_on IS NULL AND due_on BETWEEN '2026-08-01' AND '2026-08-23';
