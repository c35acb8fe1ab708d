# shellcheck shell=bash
# Sourced: junit_check FILE says what is wrong with a JUnit document, by libxml2 and tests/junit.xsd. Needs xmllint.
junit_schema=$(dirname "${BASH_SOURCE[0]}")/junit.xsd

junit_check() {
	local file=$1 what count element
	xmllint --noout --nonet --schema "$junit_schema" "$file" 2>&1 || return 1
	for what in tests:testcase failures:failure errors:error skipped:skipped; do
		element=${what#*:}
		count=$(xmllint --nonet --xpath "count(//$element)" "$file")
		[ "$(xmllint --nonet --xpath "string(//testsuite/@${what%%:*})" "$file")" = "$count" ] ||
			{ echo "$file: ${what%%:*} is not $count"; return 1; }
	done
}
