#!/usr/bin/env bash
# docs/ci: both files parse, hold what the servers want, install what the build needs, and call poolbench with options that it
# has: each call is made, on two built-in backends and at a tiny size. usage: ci.sh POOLBENCH SOURCE_DIRECTORY
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1 source=$2
python=
for candidate in /usr/bin/python3 python3; do
	"$candidate" -c 'import yaml' 2>/dev/null && python=$candidate && break
done
[ -n "$python" ] || { echo "no YAML parser: apt-get install python3-yaml"; exit 77; }

# commands FILE: every shell line of the file, continuations joined. Fails where the file is not what the server wants.
commands() {
	"$python" - "$1" <<'PY'
import re, sys, yaml
document = yaml.safe_load(open(sys.argv[1]))
scripts = []
if "jobs" in document:
    assert True in document or "on" in document          # YAML 1.1 reads `on` as true
    for job in document["jobs"].values():
        assert {"runs-on", "steps"} <= set(job), job
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step), step
            assert "uses" not in step or re.fullmatch(r"[\w./-]+@v?[\w.]+", step["uses"]), step
            scripts += [step["run"]] if "run" in step else []
else:
    for name, job in document.items():
        if name == "variables":
            continue
        assert isinstance(job["script"], list), job
        assert "junit" in job["artifacts"]["reports"]
        scripts += job.get("before_script", []) + job["script"]
assert scripts
for script in scripts:
    assert isinstance(script, str), script
    for line in re.sub(r"\\\n\s*", " ", script).splitlines():
        print(line.strip())
PY
}

# shellcheck source=cmake/setup.sh
. "$source/cmake/setup.sh"
for file in github-actions.yml gitlab-ci.yml; do
	checks=$((checks + 1))
	commands "$source/docs/ci/$file" >lines 2>out || { fail "$file"; continue; }
	for package in "${build_packages[@]}"; do
		checks=$((checks + 1))
		grep 'apt-get install' lines | tr ' ' '\n' | grep -Fqx -- "$package" || fail "$file does not install $package"
	done
	while IFS= read -r line; do
		checks=$((checks + 1))
		bash -n <<<"$line" 2>out || case $line in *'{'*) ;; *) fail "$file: no shell: $line" ;; esac
	done < <(grep -v '|| code=' lines)
	grep -E '^poolbench ' lines | sed -E 's/ \|\| code=.*//' >calls
	checks=$((checks + 1))
	[ -s calls ] || fail "$file does not call poolbench"
	while IFS= read -r call; do
		checks=$((checks + 1))
		rm -rf ab
		# the two plugins are not here, and time is short: all other options are as they stand
		call=$(sed -E 's|[^ ]*/allocator\.so|null|g; s|^poolbench |"$poolbench" |' <<<"$call")
		eval "$call --events 4000 --laps 4 --pairs 6 --max-pairs 6 --confirm-pairs 6 --planted 0 --no-plots" >out 2>&1
		case $? in
		0 | 1 | 4) ;;
		*) fail "$file: $call" ;;
		esac
		for made in ab/records.jsonl summary.md ab.xml; do
			[ -s "$made" ] || fail "$file: no $made"
			rm -f "$made"
		done
	done <calls
done

expectations_end
