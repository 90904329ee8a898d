#pragma once
// A folder with files of /proc and /sys, for what reads them from a root.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace headwater::kernels {

class FakeSystem : public testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("headwater_system_" + std::to_string(getpid()));
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::string root() const { return root_.string(); }
  void write(const std::string& path, const std::string& text) const {
    const std::filesystem::path file = root() + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text;
  }
  /// The hierarchy of version 2; mounted: the group that this process sees at the top.
  void mount_v2(const std::string& mounted = "/") const {
    std::string text = "24 19 0:21 / / rw - ext4 /dev/sda rw\n32 24 0:29 ";
    write("/proc/self/mountinfo",
          text.append(mounted).append(" /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"));
  }

 private:
  std::filesystem::path root_;
};

}  // namespace headwater::kernels
