#!/bin/sh
# Runs tests of the kernels, and of a real model, as on a processor of a lower kind:
#   run.sh BUILD_DIR KIND KERNEL_TESTS MODEL_TESTS
# KERNEL_TESTS and MODEL_TESTS are filters of GoogleTest; the last may be empty. Exits with 77 where this machine is of
# no such kind.
set -eu
build=$1 kernel_tests=$3 model_tests=$4
export HEADWATER_CPU="$2"

if ! why=$("$build/headwater" topology options 2>&1 >/dev/null); then
  echo "$why"
  case $why in *"this machine cannot run"*) exit 77 ;; esac
  exit 1
fi
# A filter that finds nothing would be a test that cannot fail.
# run PROGRAM FILTER
run() {
  "$build/tests/$1" --gtest_list_tests --gtest_filter="$2" | grep -q '^  ' || { echo "no test is $2" && exit 1; }
  "$build/tests/$1" --gtest_brief=1 --gtest_filter="$2"
}
run test_kernels "$kernel_tests"
if [ -n "$model_tests" ]; then run test_reference "$model_tests"; fi
