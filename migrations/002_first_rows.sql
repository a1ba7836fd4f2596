-- The paper notebook is typed in. Loans come last, so where there are loans, everything is there.
-- OR IGNORE, so that rows which a helper has typed in already do not stop the rest.
-- skip-if: SELECT EXISTS (SELECT 1 FROM loans)
-- verify: SELECT (SELECT count(*) FROM members) = 5 AND (SELECT count(*) FROM tools) = 6
-- verify: SELECT (SELECT count(*) FROM loans) = 9
INSERT OR IGNORE INTO members (id, name, mail, joined_on, left_on) VALUES
    (1, 'Ines Albrecht',  'ines@shed.example',  '2022-03-05', NULL),
    (2, 'Tomasz Wilk',    'tomasz@shed.example', '2022-03-05', NULL),
    (3, 'Farah Mansouri', 'farah@shed.example', '2022-06-18', '2023-05-31'),
    (4, 'Ole Brandt',     'ole@shed.example',   '2023-09-02', NULL),
    (5, 'Mei Tanaka',     'mei@shed.example',   '2025-04-12', NULL);

-- The notebook spelt the condition as the day's helper liked it.
INSERT OR IGNORE INTO tools (id, name, shelf, condition) VALUES
    (1, 'Cordless drill',    'A1', 'good'),
    (2, 'Hedge trimmer',     'A2', 'Good'),
    (3, 'Tile cutter',       'B1', 'worn '),
    (4, 'Pressure washer',   'B2', 'broken'),
    (5, 'Extension ladder',  'C1', 'good'),
    (6, 'Wallpaper steamer', 'C2', 'Worn');

INSERT OR IGNORE INTO loans (id, member_id, tool_id, lent_on, back_on) VALUES
    (1, 1, 1, '2022-03-12', '2022-03-19'),
    (2, 3, 5, '2022-07-02', '2022-07-04'),
    (3, 3, 2, '2023-04-22', '2023-05-06'),
    (4, 2, 4, '2023-08-11', '2023-08-30'),
    (5, 4, 3, '2024-02-17', '2024-02-24'),
    (6, 5, 6, '2025-05-03', '2025-05-10'),
    (7, 1, 2, '2026-07-20', NULL),
    (8, 4, 5, '2026-07-25', NULL),
    (9, 5, 1, '2026-07-31', '2026-08-07');
