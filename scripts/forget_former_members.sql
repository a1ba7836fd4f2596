-- Forgets members who left more than two years ago, and their loans with them.
-- skip-if: SELECT NOT EXISTS (SELECT 1 FROM members WHERE left_on < date('now', '-2 years'))
-- require: SELECT NOT EXISTS (SELECT 1 FROM loans JOIN members ON members.id = member_id WHERE back_on IS NULL AND left_on < date('now', '-2 years'))
-- verify: SELECT NOT EXISTS (SELECT 1 FROM members WHERE left_on < date('now', '-2 years'))
-- verify: SELECT NOT EXISTS (SELECT 1 FROM loans WHERE member_id NOT IN (SELECT id FROM members))
-- foreign-keys: on
-- allow: rows-lost the loans of a forgotten member go by cascade
DELETE FROM members WHERE left_on < date('now', '-2 years');
