#pragma once
// For what other threads bring about, and nothing tells of.

#include <gtest/gtest.h>

#include <chrono>
#include <source_location>
#include <thread>

namespace headwater::test {

/// Waits until `holds()`. False after a minute without that; the test fails where it was called.
template <class Condition>
bool wait_until(const Condition& holds, std::source_location at = std::source_location::current()) {
  const auto give_up = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > give_up) {
      ADD_FAILURE_AT(at.file_name(), static_cast<int>(at.line())) << "waited for a minute";
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace headwater::test
