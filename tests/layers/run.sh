#!/bin/sh
# That a source of one library may include what it is built on, and that anything else is not found.
# Usage: run.sh CXX ROOTS(a list with colons) FOLDER MAY(headers) MAY_NOT(headers)
set -eu
cxx=$1 roots=$2 folder=$3 may=$4 may_not=$5
flags=-std=c++20
old=$IFS
IFS=:
for root in $roots; do flags="$flags -I$root"; done
IFS=$old
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# included HEADER: whether the compiler finds it, and all that it includes, from a source of that folder.
included() {
  printf '#include "%s"\n' "$1" > "$dir/$folder.cc"
  # shellcheck disable=SC2086
  "$cxx" $flags -E -o /dev/null "$dir/$folder.cc" 2> "$dir/errors"
}

for header in $may; do
  included "$header" || { cat "$dir/errors"; echo "$folder cannot include $header, on which it is built" >&2; exit 1; }
done
for header in $may_not; do
  if included "$header"; then echo "$folder can include $header, which is above it" >&2; exit 1; fi
  grep -q "$header: No such file" "$dir/errors" || { cat "$dir/errors"; echo "$header failed for another reason" >&2; exit 1; }
done
