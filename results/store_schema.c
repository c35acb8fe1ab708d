/*
 * The tables, as the steps that make one version of the next: a new store takes all of them, an old one those it
 * lacks. A step that was released is never edited. Words that SQLite and PostgreSQL share, and no others.
 */
#include "store_internal.h"

/*
 * settings: digest of what changes the numbers beside cell and trace; its text once. started, added, made: Unix
 * seconds. samples: the values of the repetitions, a JSON array.
 */
static const char *const version_1[] = {
	"CREATE TABLE track_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
	"CREATE TABLE track_machine (fingerprint TEXT PRIMARY KEY, description TEXT NOT NULL)",
	"CREATE TABLE track_settings (digest TEXT PRIMARY KEY, options TEXT NOT NULL)",
	"CREATE TABLE track_run (id TEXT PRIMARY KEY,"
	" machine TEXT NOT NULL REFERENCES track_machine (fingerprint),"
	" settings TEXT NOT NULL REFERENCES track_settings (digest),"
	" branch TEXT NOT NULL, commit_id TEXT NOT NULL,"
	" started DOUBLE PRECISION NOT NULL, added DOUBLE PRECISION NOT NULL,"
	" records BIGINT NOT NULL, digest TEXT NOT NULL, made_with TEXT NOT NULL)",
	"CREATE TABLE track_series (id BIGINT PRIMARY KEY, machine TEXT NOT NULL, settings TEXT "
	"NOT NULL,"
	" backend TEXT NOT NULL, workload TEXT NOT NULL, threads BIGINT NOT NULL,"
	" page_size BIGINT NOT NULL, backing TEXT NOT NULL, trace TEXT NOT NULL, measure TEXT NOT "
	"NULL,"
	" UNIQUE (machine, settings, backend, workload, threads, page_size, backing, trace, "
	"measure))",
	"CREATE TABLE track_point (series BIGINT NOT NULL REFERENCES track_series (id),"
	" run TEXT NOT NULL REFERENCES track_run (id), status TEXT NOT NULL, reason TEXT NOT NULL,"
	" n BIGINT NOT NULL, value DOUBLE PRECISION, low DOUBLE PRECISION, high DOUBLE PRECISION,"
	" samples TEXT NOT NULL, PRIMARY KEY (series, run))",
	"CREATE INDEX track_point_run ON track_point (run)",
	"CREATE TABLE track_decision (id BIGINT PRIMARY KEY, kind TEXT NOT NULL,"
	" run TEXT NOT NULL REFERENCES track_run (id),"
	" backend TEXT NOT NULL, workload TEXT NOT NULL, measure TEXT NOT NULL,"
	" reason TEXT NOT NULL, made_by TEXT NOT NULL, made DOUBLE PRECISION NOT NULL,"
	" withdrawn DOUBLE PRECISION, withdrawn_reason TEXT)",
	"INSERT INTO track_meta (name, value) VALUES ('format', 'poolbench history')",
	"INSERT INTO track_meta (name, value) VALUES ('schema', '1')",
	NULL,
};

/* absolute: the measured value in its own unit, before it was divided by the reference's. */
static const char *const version_2[] = {
	"ALTER TABLE track_point ADD COLUMN absolute DOUBLE PRECISION",
	"CREATE INDEX track_run_started ON track_run (machine, branch, started)",
	"UPDATE track_meta SET value = '2' WHERE name = 'schema'",
	NULL,
};

const char *const *const store_migrations[STORE_SCHEMA] = { version_1, version_2 };
