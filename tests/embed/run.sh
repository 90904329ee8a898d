#!/bin/sh
# Installs the library into the build tree and builds and runs tests/embed against it.
# Usage: run.sh BUILD_DIR CMAKE CXX SANITIZERS      Exit status 77: there is no model to run.
set -eu
build=$1 cmake=$2 cxx=$3 sanitize=$4
model=${HEADWATER_TEST_MODEL:-models/smollm2-135m.gguf}
[ -e "$model" ] || model=models/default.gguf
if [ ! -e "$model" ]; then
  echo "skipped: $model is missing; set HEADWATER_TEST_MODEL to a GGUF file"
  exit 77
fi

rm -rf "$build/embed"
"$cmake" --build "$build" --target headwater_shared
"$cmake" --install "$build" --prefix "$build/embed/prefix" --component library
"$cmake" -S tests/embed -B "$build/embed/build" -DCMAKE_CXX_COMPILER="$cxx" \
  -DCMAKE_PREFIX_PATH="$build/embed/prefix" -DCMAKE_CXX_FLAGS="${sanitize:+-fsanitize=$sanitize}"
"$cmake" --build "$build/embed/build"

answer=$("$build/embed/build/embed" "$model")
echo "$answer"
case $answer in
  *Paris*"["*" tokens]") ;;
  *) echo "the answer does not name Paris, or has no end" >&2; exit 1 ;;
esac
