#!/usr/bin/env bash
# A team's shared history: poolbench track against a real PostgreSQL server on a socket in a temporary directory, killed in
# mid-write. usage: track_postgres.sh POOLBENCH TRACK_SAMPLE HISTORY_V1_SQL. 77: no server is installed here.
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1 sample=$2 old=$3
bin=$(find /usr/lib/postgresql/*/bin /usr/pgsql-*/bin -maxdepth 0 2>/dev/null | sort -V | tail -n 1)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb 2>/dev/null || echo /)")
[ -x "$bin/initdb" ] || { echo "skipped: no PostgreSQL server here (apt-get install postgresql)"; exit 77; }
"$poolbench" track list --store "postgresql://[" 2>&1 | grep -q "without PostgreSQL" &&
	{ echo "skipped: built without libpq"; exit 77; }

chmod 755 "$scratch"
# The server refuses to run as root: then as the package's user, or as nobody.
as_server=()
if [ "$(id -u)" -eq 0 ]; then
	user=$(id -u postgres 2>/dev/null || echo 65534)
	as_server=(setpriv "--reuid=$user" "--regid=$user" --clear-groups)
	mkdir server && chown "$user:$user" server
else
	mkdir server
fi
server() { "${as_server[@]}" env -C "$scratch/server" LC_ALL=C "$@"; }
# Killed processes lose nothing that the kernel has: fsync, for power cuts, is left out.
start_server() {
	server "$bin/pg_ctl" -D "$scratch/server/data" -l "$scratch/server/log" -w -t 60 \
		-o "-k $scratch/server -h '' -p 54329 -c max_connections=20 -c fsync=off" start >/dev/null
}
cleanup() {
	[ ! -f server/data/postmaster.pid ] || server "$bin/pg_ctl" -D "$scratch/server/data" -m immediate stop >/dev/null 2>&1
	cd / && rm -rf "$scratch"
}
trap cleanup EXIT
server "$bin/initdb" -D "$scratch/server/data" -U bench -A trust --no-sync >server.log 2>&1 ||
	{ cat server.log; exit 1; }
start_server || { cat server/log; exit 1; }
url() { printf 'postgresql://bench@/%s?host=%s/server&port=54329' "$1" "$scratch"; }
sql() { server "$bin/psql" -h "$scratch/server" -p 54329 -U bench -qAt -v ON_ERROR_STOP=1 "$@"; }
for database in history empty old newer other crash; do
	sql -d postgres -c "CREATE DATABASE $database" || exit 1
done

POOLBENCH_STORE=$(url history)
export POOLBENCH_STORE
track() { "$poolbench" track "$@"; }

# ---- the same commands, many machines and branches ----
expect 3 "no history in this PostgreSQL database yet" track list
for i in $(seq 12); do
	time=1
	[ "$i" -eq 12 ] && time=1.3
	"$sample" "r$i" "seed=$i" "day=$i" "time=$time" "machine=00000000000000a$((i % 2))"
done
for i in 1 3 5 7 9 11; do expect 0 "added as" track add "r$i" --branch main --commit "odd000$i"; done
for i in 2 4 6 8 10; do expect 0 "added as" track add "r$i" --branch main --commit "even00$i"; done
expect 0 "added as" track add r12 --branch topic --commit even0012
expect 0 "is there already" track add r3 --branch main
expect 0 "00000000000000a0 +6 runs" track list machines
expect 0 "00000000000000a1 +6 runs" track list machines
expect 0 "^time +nt-pool" track list series --machine 00000000000000a1
expect 1 "time +1\.[23].*REGRESSION" track check r12 --branch main --gate time
expect 1 "against 5 runs of branch main on machine 00000000000000a0" track check r12 --branch main --gate time
expect 0 "forgotten" track forget even0012 --reason "it's \"bad\"; DROP TABLE track_run; --"
expect 0 "DROP TABLE" track list decisions
expect 0 "taken back: 1" track forget --undo even0012 --reason good
expect 0 "accepted" track accept even0010 --series time --reason wanted
expect 0 "pinned" track pin odd0003 --reason "release"
expect 0 "pinned run" track check r11 --branch main
expect 0 "track.html" track plot --branch main --machine 00000000000000a1 --out pictures

# what comes out of a server is what comes out of a file
for i in 1 3 5 7 9 11; do track add "r$i" --branch main --commit "odd000$i" --store file.db >/dev/null; done
track export --machine 00000000000000a1 >server.csv && track export --store file.db >file.csv
checks=$((checks + 1))
[ "$(wc -l <server.csv)" -gt 50 ] && cmp -s server.csv file.csv || fail "server and file differ: $(diff server.csv file.csv | head -n 3)"

# ---- two writers at once ----
"$sample" w1 seed=21 day=21 cells=8
"$sample" w2 seed=22 day=22 cells=8
for i in 1 2 3; do
	track add w1 w2 --branch main >"out.$i" 2>&1 &
done
for job in $(jobs -p); do
	checks=$((checks + 1))
	wait "$job" || fail "a writer at once failed: $(cat out.?)"
done
[ "$(cat out.? | grep -c "added as")" -eq 2 ] || fail "two runs were not added just once: $(cat out.?)"

# ---- versions ----
sql -d old -f - <"$old" || fail "the old history"
expect 0 "20260131T120000Z-0a1b2c3d" track list --store "$(url old)"
expect 0 "1769860800.25,nt-pool,irp-storm,1,4096,base,.*,time,x,OK,3,2.5,2.4375,2.625," track export --store "$(url old)"
[ "$(sql -d old -c "SELECT value FROM track_meta WHERE name = 'schema'")" = 2 ] || fail "the old history was not migrated"
sql -d newer -f - <"$old"
sql -d newer -c "UPDATE track_meta SET value = '9' WHERE name = 'schema'"
expect 3 "version 9.*newer" track list --store "$(url newer)"
sql -d other -c "CREATE TABLE track_something (x INTEGER)"
expect 1 "something else" track add r1 --branch main --store "$(url other)"
expect 3 "does not exist" track list --store "$(url nowhere)"
sql -d old -c "UPDATE track_point SET samples = 'x'"
expect 1 "never writes" track export --store "$(url old)"

# ---- a lock that others hold ----
mkfifo hold
# One session that holds what it is told to, until its input ends.
hold() { # DATABASE STATEMENT
	sql -d "$1" -f - <hold >/dev/null 2>&1 &
	holder=$!
	exec 9>hold
	printf 'BEGIN;\n%s;\n' "$2" >&9
	for _ in $(seq 100); do
		[ "$(sql -d "$1" -c "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")" = 1 ] && return
		sleep 0.1
	done
	fail "no session holds '$2'"
}
release() {
	exec 9>&-
	wait "$holder" 2>/dev/null
}
"$sample" w3 seed=23 day=23
hold history "SELECT pg_advisory_xact_lock(8101816766061704052)"
expect 1 "locked.*--wait" track add w3 --branch main --wait 1
expect 0 "records" track list
release
expect 0 "added as" track add w3 --branch main

# ---- the server goes away in mid-write ----
points() { sql -d crash -c "SELECT count(*) FROM track_point WHERE run = '$1'"; }
"$sample" k1 seed=31 day=31
"$sample" k2 seed=32 day=32 cells=4
POOLBENCH_STORE=$(url crash)
expect 0 "added as" track add k1 --branch main
hold crash "LOCK TABLE track_point IN ACCESS EXCLUSIVE MODE"
# It has written the run and waits at its first point: in the midst of its transaction. Not by way of the function: the
# writer itself is to be killed, and it must not keep what the holder reads from open.
"$poolbench" track add k2 --branch main --wait 60 >out.k 2>&1 9>&- &
adder=$!
for _ in $(seq 100); do
	[ "$(sql -d crash -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")" -ge 1 ] && break
	sleep 0.1
done
kill -9 "$(head -n 1 server/data/postmaster.pid)"
# the server's children notice that and end, and the adder's socket closes
wait "$adder"
got=$?
checks=$((checks + 1))
[ "$got" -eq 3 ] && grep -q "went away.*nothing that was not confirmed is stored" out.k || fail "server killed: $got $(cat out.k)"
release
expect 3 "cannot reach" track list
rm -f server/data/postmaster.pid server/.s.PGSQL.54329*
start_server || fail "the server does not come back: $(tail -n 5 server/log)"
[ "$(sql -d crash -c "SELECT count(*) FROM track_run")" = 1 ] || fail "half a run after the server was killed"
expect 0 "added as" track add k2 --branch main
[ "$(sql -d crash -c "SELECT count(DISTINCT run) FROM track_point")" = 2 ] || fail "k2 has no points"

# ---- a connection that is ended, a server that stops, one that does not allow writing ----
"$sample" k3 seed=33 day=33
hold crash "LOCK TABLE track_point IN ACCESS EXCLUSIVE MODE"
"$poolbench" track add k3 --branch main --wait 60 >out.k 2>&1 9>&- &
adder=$!
for _ in $(seq 100); do
	[ "$(sql -d crash -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")" -ge 1 ] && break
	sleep 0.1
done
sql -d crash -c "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'" >/dev/null
wait "$adder"
got=$?
release
checks=$((checks + 1))
[ "$got" -eq 3 ] && grep -q "went away" out.k || fail "connection ended: $got $(cat out.k)"
[ "$(sql -d crash -c "SELECT count(*) FROM track_run")" = 2 ] || fail "half a run after the connection ended"
sql -d crash -c "ALTER DATABASE crash SET default_transaction_read_only = on"
expect 1 "may not be written" track add k3 --branch main
expect 0 "records" track list
sql -d postgres -c "ALTER DATABASE crash RESET default_transaction_read_only"
# the writer is killed: the server drops what it had begun
hold crash "LOCK TABLE track_point IN ACCESS EXCLUSIVE MODE"
"$poolbench" track add k3 --branch main --wait 60 >out.k 2>&1 9>&- &
adder=$!
for _ in $(seq 100); do
	[ "$(sql -d crash -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")" -ge 1 ] && break
	sleep 0.1
done
{ kill -9 $adder && wait $adder; } 2>/dev/null
release
sleep 0.3
[ "$(sql -d crash -c "SELECT count(*) FROM track_run")" = 2 ] || fail "half a run after the writer was killed"
expect 0 "added as" track add k3 --branch main
server "$bin/pg_ctl" -D "$scratch/server/data" -m fast -w stop >/dev/null
expect 3 "cannot reach.*running" track add k3 --branch main
expect 3 "cannot reach" track check k3

expectations_end
