#!/bin/sh
# Installs the command and what ships with it, from no more than what tools/serve builds, and runs it elsewhere.
# Usage: run.sh BUILD_DIR CMAKE
set -eu
build=$1 cmake=$2
prefix=$build/install_test/prefix
rm -rf "$build/install_test"
mkdir -p "$build/install_test/elsewhere"
"$cmake" --build "$build" --target headwater headwater_shared
"$cmake" --install "$build" --prefix "$prefix" >/dev/null
cd "$build/install_test/elsewhere"

# expect STATUS WORDS COMMAND...: that it ends with that status and says those words.
expect() {
  wanted=$1 words=$2
  shift 2
  status=0
  "$@" >said 2>&1 || status=$?
  if [ "$status" != "$wanted" ] || ! grep -q -e "$words" said; then
    echo "$*: status $status, expected $wanted and \"$words\"; it said:" >&2
    cat said >&2
    exit 1
  fi
}

expect 0 'single: ok' "$prefix/bin/headwater" topology check --no-model single
expect 0 'digraph' "$prefix/bin/headwater" topology graph low_latency
# Without a topology it finds the one that ships, and then that there is no model here.
expect 1 'models/default.gguf: cannot be opened' "$prefix/bin/headwater" serve
expect 0 'qwen2.5-coder-0.5b .* not fetched' "$prefix/bin/headwater" model list
expect 2 'no model named nonsense (known: smollm2-135m' "$prefix/bin/headwater" model pull nonsense
