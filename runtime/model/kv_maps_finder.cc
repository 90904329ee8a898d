#include "model/kv_maps_finder.h"

#include <sys/stat.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include "model/kv_maps_file.h"

namespace headwater::model {
namespace {

/// The file of maps that goes with a model's.
class Keeper {
 public:
  Keeper(const GgufFile& file, const KvLearning& learning, const Tell& tell)
      : file_(file), path_(kv_maps_path(file.path())), tell_(tell) {
    identity_.learning = digest_of(learning);
    identity_.sizes = learning.sizes;
  }

  std::optional<LearntKvMaps> read() {
    struct stat info {};
    if (::lstat(path_.c_str(), &info) != 0 || !identify()) return std::nullopt;
    auto kept = read_kv_maps(path_, identity_);
    if (kept) return std::move(*kept);
    tell_(false, path_ + " " + kept.error().message + "; it is made again");
    return std::nullopt;
  }

  /// seconds: how long it took to find them.
  void keep(const LearntKvMaps& maps, double seconds) {
    Result<void> kept;
    if (identify()) kept = write_kv_maps(path_, identity_, maps);
    char text[64];
    std::snprintf(text, sizeof text, "found how keys are distributed in %.2f s", seconds);
    if (kept && known_) tell_(false, std::string(text) + ", kept in " + path_);
    if (!kept) tell_(true, std::string(text) + ", and each start will do it again: " + kept.error().message);
  }

 private:
  /// Whether the model file's digest is known. One that cannot be read any more is not a matter of maps.
  bool identify() {
    if (known_) return true;
    const auto digest = file_.digest();
    if (digest) identity_.model = *digest;
    return known_ = digest.ok();
  }

  const GgufFile& file_;
  const std::string path_;
  const Tell& tell_;
  KvMapsIdentity identity_;
  bool known_ = false;
};

}  // namespace

LearntKvMaps find_kv_maps(const GgufFile& file, const KvLearning& learning, const std::function<LearntKvMaps()>& learn,
                          const Tell& tell, std::uint64_t least_bytes_kept) {
  if (file.file_bytes() < least_bytes_kept || !has_maps(learning.sizes)) return learn();
  const Tell say = [&](bool warning, const std::string& sentence) {
    if (tell) tell(warning, sentence);
  };
  Keeper keeper(file, learning, say);
  if (auto kept = keeper.read()) return std::move(*kept);
  say(false, file.path() + ": finding how keys are distributed (once per model file) …");
  const auto began = std::chrono::steady_clock::now();
  LearntKvMaps maps = learn();
  keeper.keep(maps, std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  return maps;
}

}  // namespace headwater::model
