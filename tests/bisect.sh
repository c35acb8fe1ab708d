#!/usr/bin/env bash
# `git bisect run` with `poolbench ab --bisect` on a throw-away repository of an allocator: the commit that made it slow is
# found, past one that does not build. The slow-down is a large one: what is tested is the plumbing and the exit codes, which
# must not depend on a quiet machine. usage: bisect.sh POOLBENCH SOURCE_DIRECTORY COMPILER
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/expect.sh
. "$here/expect.sh"
poolbench=$1 source=$2 compiler=$3
command -v git >/dev/null || { echo "git is missing"; exit 77; }
export HOME=$scratch GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b

mkdir include repository
ln -s "$source/allocators" include/poolbench
cat >build.sh <<SH
#!/bin/sh
exec $compiler -O2 -shared -fPIC -D_GNU_SOURCE -I"$scratch/include" -I"$source" -o "\$1" "$scratch/repository/first_fit.c"
SH
# no build: 125; else what poolbench says
cat >step.sh <<SH
#!/bin/sh
sh "$scratch/build.sh" "$scratch/now.so" 2>"$scratch/build.log" || exit 125
"$poolbench" ab "$scratch/good.so" "$scratch/now.so" --workload irp-storm --threads 1 --passes throughput \\
	--events 4000 --laps 10 --pairs 6 --max-pairs 6 --confirm-pairs 6 --planted 0 --threshold 300% --no-plots \\
	--bisect >"$scratch/ab.log" 2>&1
code=\$?
rm -rf "$scratch"/repository/results
exit \$code
SH

cd repository || exit 1
cp "$source/allocators/example_plugin/first_fit.c" .
git init -q . && git add . && git commit -qm "first fit" || fail "no repository"
sh ../build.sh ../good.so || { fail "the example plugin does not build"; exit 1; }
commit() {
	git commit -qam "$1" && git rev-parse HEAD
}
echo '/* a comment */' >>first_fit.c && harmless=$(commit "a comment")
sed -i 's/tag = arena_find(/tag = arena_fin(/; s/^static void \*first_fit_alloc/stati void *first_fit_alloc/' first_fit.c &&
	unbuildable=$(commit "half a change")
git show HEAD~1:first_fit.c >first_fit.c && commit "the other half" >/dev/null
sed -i 's|^\tsize_t units = (bytes - 1) / UNIT + 2;|&\n\n\tfor (volatile int slow = 0; slow < 4000; slow++)\n\t\t;|' first_fit.c
grep -q "volatile int slow" first_fit.c || fail "the example plugin has changed: nothing was planted"
planted=$(commit "clear the block's cold part")
echo '/* another */' >>first_fit.c && commit "another comment" >/dev/null
sed -i 's|^\tsize_t units = (bytes - 1) / UNIT + 2;|&\n\t*(volatile char *)8 = 1;|' first_fit.c && crashing=$(commit "a null pointer")
git show HEAD~1:first_fit.c >first_fit.c && commit "none" >/dev/null
echo '/* last */' >>first_fit.c && last=$(commit "last")

# what one commit is told as
told() {
	local code=$1 commit=$2 what=$3
	checks=$((checks + 1))
	git checkout -q "$commit"
	sh ../step.sh
	local got=$?
	cp ../ab.log out
	[ "$got" -eq "$code" ] || fail "$what: exit code $got, not $code"
}
told 0 "$harmless" "a harmless commit"
told 125 "$unbuildable" "a commit that does not build"
told 1 "$last" "a slow commit"
told 125 "$crashing" "a commit that crashes"
git checkout -q "$last"

checks=$((checks + 1))
git bisect start "$last" "$(git rev-list --max-parents=0 HEAD)" >out 2>&1
git bisect run sh ../step.sh >out 2>&1 || fail "git bisect run ended with $?"
[ "$(git rev-parse refs/bisect/bad)" = "$planted" ] || fail "found $(git log --format=%s -1 refs/bisect/bad)"
grep -q "$planted is the first bad commit" out || fail "not told"

expectations_end
