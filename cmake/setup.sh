# Shared by ./quickstart and ./check: what must be there, how to get it, how to build. Sourced, not run.
# shellcheck shell=bash

# What the build needs, then what it compares (run-time peers), then what the tests need on top.
build_packages=(gcc g++ cmake ninja-build pkg-config git libbenchmark-dev libhwloc-dev gnuplot-nox
	libjansson-dev libzstd-dev libsqlite3-dev libpq-dev libcmocka-dev)
peer_packages=(libmimalloc2.0 libjemalloc2 libtcmalloc-minimal4 libtbbmalloc2)
test_packages=(chromium fonts-dejavu-core clang libclang-rt-dev libxml2-utils python3-prometheus-client python3-yaml
	postgresql)

say() {
	printf '%s\n' "$*" >&2
}

# The packages among "$@" that dpkg does not have installed.
missing_packages() {
	local package
	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			printf '%s\n' "$package"
	done
}

# On systems without apt: names the libraries and checks nothing, the configure step will.
advise_other_systems() {
	say "This is no Debian or Ubuntu: make sure that these are installed, by your system's names:"
	say "  a C and C++ compiler, cmake, ninja, pkg-config; Google Benchmark, hwloc, gnuplot, jansson,"
	say "  zstd, SQLite, libpq, cmocka (with headers); to compare: mimalloc, jemalloc, tcmalloc, tbbmalloc"
	say "  Fedora: gcc gcc-c++ cmake ninja-build google-benchmark-devel hwloc-devel gnuplot-minimal jansson-devel libzstd-devel sqlite-devel libpq-devel libcmocka-devel mimalloc jemalloc gperftools-libs tbb"
	say "  Arch: base-devel cmake ninja benchmark hwloc gnuplot jansson zstd sqlite postgresql-libs cmocka mimalloc jemalloc gperftools onetbb"
}

# install_packages PACKAGE...: quick when nothing is missing; exits 3 with the command when it may not install.
install_packages() {
	local missing
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		advise_other_systems
		return 0
	fi
	mapfile -t missing < <(missing_packages "$@")
	[ "${#missing[@]}" -gt 0 ] || return 0
	local command="apt-get install -y --no-install-recommends ${missing[*]}"
	local as_root=()
	if [ "$(id -u)" -ne 0 ]; then
		if ! sudo -n true 2>/dev/null; then
			say "These packages are missing: ${missing[*]}"
			say "Install them and run this again:"
			say "  sudo $command"
			exit 3
		fi
		as_root=(sudo)
	fi
	say "installing: ${missing[*]}"
	# A package list that is too old names files that are gone: refresh it first.
	"${as_root[@]}" apt-get update -qq >&2 || say "apt-get update failed; trying with the lists that are here"
	if ! DEBIAN_FRONTEND=noninteractive "${as_root[@]}" $command >&2; then
		say "Could not install them. As root, run:"
		say "  apt-get update && $command"
		exit 3
	fi
}

# build PRESET: configures and builds into build/PRESET; the log is shown only when something fails.
build() {
	local preset=$1 log="build/$1.log"
	mkdir -p build
	say "building ($preset)"
	if ! { cmake --preset "$preset" && cmake --build --preset "$preset"; } >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		say "The build failed; the whole log is $log"
		exit 1
	fi
}
