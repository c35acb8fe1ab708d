-- A history of version 1, as poolbench wrote it before points had their absolute values: the fixture of unit_store.c.
CREATE TABLE track_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE track_machine (fingerprint TEXT PRIMARY KEY, description TEXT NOT NULL);
CREATE TABLE track_settings (digest TEXT PRIMARY KEY, options TEXT NOT NULL);
CREATE TABLE track_run (id TEXT PRIMARY KEY, machine TEXT NOT NULL REFERENCES track_machine (fingerprint),
	settings TEXT NOT NULL REFERENCES track_settings (digest), branch TEXT NOT NULL, commit_id TEXT NOT NULL,
	started DOUBLE PRECISION NOT NULL, added DOUBLE PRECISION NOT NULL, records BIGINT NOT NULL,
	digest TEXT NOT NULL, made_with TEXT NOT NULL);
CREATE TABLE track_series (id BIGINT PRIMARY KEY, machine TEXT NOT NULL, settings TEXT NOT NULL,
	backend TEXT NOT NULL, workload TEXT NOT NULL, threads BIGINT NOT NULL, page_size BIGINT NOT NULL,
	backing TEXT NOT NULL, trace TEXT NOT NULL, measure TEXT NOT NULL,
	UNIQUE (machine, settings, backend, workload, threads, page_size, backing, trace, measure));
CREATE TABLE track_point (series BIGINT NOT NULL REFERENCES track_series (id),
	run TEXT NOT NULL REFERENCES track_run (id), status TEXT NOT NULL, reason TEXT NOT NULL, n BIGINT NOT NULL,
	value DOUBLE PRECISION, low DOUBLE PRECISION, high DOUBLE PRECISION, samples TEXT NOT NULL,
	PRIMARY KEY (series, run));
CREATE INDEX track_point_run ON track_point (run);
CREATE TABLE track_decision (id BIGINT PRIMARY KEY, kind TEXT NOT NULL, run TEXT NOT NULL REFERENCES track_run (id),
	backend TEXT NOT NULL, workload TEXT NOT NULL, measure TEXT NOT NULL, reason TEXT NOT NULL,
	made_by TEXT NOT NULL, made DOUBLE PRECISION NOT NULL, withdrawn DOUBLE PRECISION, withdrawn_reason TEXT);
INSERT INTO track_meta VALUES ('format', 'poolbench history'), ('schema', '1'), ('reference', 'null');
INSERT INTO track_machine VALUES ('00112233445566aa', 'AMD EPYC, 2 processors, 24 GiB');
INSERT INTO track_settings VALUES ('15c7c679315c6a9b', 'events=10000 laps=6');
INSERT INTO track_run VALUES
	('20260131T120000Z-0a1b2c3d', '00112233445566aa', '15c7c679315c6a9b', 'main', 'c0ffee', 1769860800.25,
	1769861000.5, 24, '0123456789abcdef', '0.1.0 c0ffee'),
	('20260201T120000Z-1a2b3c4d', '00112233445566aa', '15c7c679315c6a9b', 'main', 'decade', 1769947200.0,
	1769947300.0, 24, 'fedcba9876543210', '0.1.0 decade');
INSERT INTO track_series VALUES
	(1, '00112233445566aa', '15c7c679315c6a9b', 'nt-pool', 'irp-storm', 1, 4096, 'base', '0x1', 'time'),
	(2, '00112233445566aa', '15c7c679315c6a9b', 'nt-pool', 'irp-storm', 1, 4096, 'base', '0x1', 'footprint');
INSERT INTO track_point VALUES
	(1, '20260131T120000Z-0a1b2c3d', 'OK', '', 3, 2.5, 2.4375, 2.625, '[2.4375,2.5,2.625]'),
	(2, '20260131T120000Z-0a1b2c3d', 'OK', '', 1, 2097152.0, 2097152.0, 2097152.0, '[2097152.0]'),
	(1, '20260201T120000Z-1a2b3c4d', 'CRASHED', 'signal 11', 0, NULL, NULL, NULL, '[]');
INSERT INTO track_decision VALUES
	(1, 'accept', '20260131T120000Z-0a1b2c3d', 'nt-pool', '', 'time', 'wanted', 'ann', 1769862000.0, NULL, NULL);
