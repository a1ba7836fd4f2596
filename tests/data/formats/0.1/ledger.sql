-- A ledger as piton 0.1 wrote it: format 1, with a row of each kind.
CREATE TABLE _piton_ledger (
           id INTEGER PRIMARY KEY,
           version TEXT NOT NULL,
           name TEXT NOT NULL,
           kind TEXT NOT NULL,
           state TEXT NOT NULL,
           witness TEXT NOT NULL,
           checksum TEXT NOT NULL,
           forgiving TEXT NOT NULL,
           text TEXT NOT NULL,
           started TEXT NOT NULL,
           milliseconds INTEGER NOT NULL,
           statements INTEGER NOT NULL,
           schema_hash TEXT NOT NULL,
           backup TEXT,
           piton TEXT NOT NULL,
           output TEXT,
           objects TEXT NOT NULL
         );
INSERT INTO _piton_ledger VALUES(1,'001','seen','sql','recorded','schema','2e607e7bbbc66334f8416ef4a8589d02563217df29c63072c3a0cc90775a3db7','2e607e7bbbc66334f8416ef4a8589d02563217df29c63072c3a0cc90775a3db7',replace('CREATE TABLE seen(a);\n','\n',char(10)),'2026-11-30T23:21:26.110Z',0,1,'','20261130T232126Z-d46c24','0.1.0',NULL,'');
INSERT INTO _piton_ledger VALUES(2,'002','t','sql','applied','run','f8dd4654354866374e45cc7715f636a46e1071660aa17a357894eb7505709505','f8dd4654354866374e45cc7715f636a46e1071660aa17a357894eb7505709505',replace('CREATE TABLE t(a);\nINSERT INTO t VALUES (1);\n','\n',char(10)),'2026-11-30T23:21:26.110Z',0,2,'5e08ab342ca929b0e961d697d8b91f04','20261130T232126Z-d46c24','0.1.0',NULL,'');
INSERT INTO _piton_ledger VALUES(3,'003','made','script','applied','run','639b4e9ccd2b5809b4df1093e8d5670d1742365acba9bfaba9efd53d326e86c0','639b4e9ccd2b5809b4df1093e8d5670d1742365acba9bfaba9efd53d326e86c0',replace('#!/bin/sh\necho moved 1 file\nsqlite3 "$PITON_DATABASE" "CREATE TABLE made(a)"\n','\n',char(10)),'2026-11-30T23:21:26.111Z',16,0,'62ef17c87dc3f4a7a2ac50e8a90531b1','20261130T232126Z-d46c24','0.1.0',replace('moved 1 file\n','\n',char(10)),'table `made`');
INSERT INTO _piton_ledger VALUES(4,'0','more','operation','applied','run','6e3ceb6baf1198ade244e25e2f962cb663c1f95c678c9d2f54f5b9d60e482faa','6e3ceb6baf1198ade244e25e2f962cb663c1f95c678c9d2f54f5b9d60e482faa',replace('INSERT INTO t VALUES (2);\n','\n',char(10)),'2026-11-30T23:21:26.134Z',0,1,'62ef17c87dc3f4a7a2ac50e8a90531b1','20261130T232126Z-8ef01d','0.1.0',NULL,'');
INSERT INTO _piton_ledger VALUES(5,'004','killed','script','started','run','fa5215e93357132a22e67d79430e75a04671ad2f0764848e4efe95e1caf4ca38','fa5215e93357132a22e67d79430e75a04671ad2f0764848e4efe95e1caf4ca38',replace('#!/bin/sh\nkill -9 $PPID\n','\n',char(10)),'2026-11-30T23:21:26.166Z',0,0,'','20261130T232126Z-c9a09f','0.1.0',NULL,'');
