#include "model/kv_maps_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace headwater::model {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they are");

constexpr std::array<char, 8> kMagic = {'H', 'W', 'K', 'V', 'M', 'A', 'P', 'S'};

struct KvMapsHeader {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kKvLearningVersion;
  std::uint32_t n_layers = 0, n_kv_heads = 0, head_dim = 0;
  Sha256Digest model{}, learning{};
};
static_assert(sizeof(KvMapsHeader) == 88);

KvMapsHeader header_of(const KvMapsIdentity& identity) {
  KvMapsHeader header;
  header.n_layers = identity.sizes.n_layers;
  header.n_kv_heads = identity.sizes.n_kv_heads;
  header.head_dim = identity.sizes.head_dim;
  header.model = identity.model;
  header.learning = identity.learning;
  return header;
}

/// The arrays, in the file's order.
std::array<std::vector<float>*, 5> parts(LearntKvMaps& maps) {
  return {&maps.centres, &maps.keys, &maps.queries, &maps.scales, &maps.value_scales};
}

/// Numbers of each.
std::array<std::size_t, 5> part_sizes(const KvSizes& sizes) {
  const std::size_t heads = sizes.heads();
  const std::size_t square = heads * sizes.head_dim * sizes.head_dim;
  return {heads * sizes.head_dim, square, square, heads, heads};
}

/// A descriptor that is closed with its scope.
class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

/// As long as it lives, a write beyond a limit on the size of files fails, and no signal (SIGXFSZ) ends the process.
class NoSizeSignal {
 public:
  NoSizeSignal() {
    sigemptyset(&signal_);
    sigaddset(&signal_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &signal_, &before_);
  }
  ~NoSizeSignal() {
    constexpr timespec kNow{};
    if (sigismember(&before_, SIGXFSZ) == 0) sigtimedwait(&signal_, nullptr, &kNow);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSizeSignal(const NoSizeSignal&) = delete;
  NoSizeSignal& operator=(const NoSizeSignal&) = delete;

 private:
  sigset_t signal_{}, before_{};
};

Error bad(const std::string& what) { return {ErrorCode::invalid_model, what, ""}; }

/// Moves all bytes by calls of ::read or ::write. False: not all, with errno, or 0 where the file ended.
template <class Call, class Bytes>
bool move_all(Call call, int descriptor, Bytes bytes) {
  while (!bytes.empty()) {
    errno = 0;
    const ssize_t moved = call(descriptor, bytes.data(), bytes.size());
    if (moved < 0 && errno == EINTR) continue;
    if (moved <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(moved));
  }
  return true;
}

bool read_all(int descriptor, std::span<std::byte> bytes) { return move_all(::read, descriptor, bytes); }
bool write_all(int descriptor, std::span<const std::byte> bytes) { return move_all(::write, descriptor, bytes); }

Error unread() { return bad(errno == 0 ? "ends too soon" : std::string("cannot be read: ") + std::strerror(errno)); }

/// What of a header is not as it must be; empty: nothing.
std::string difference(const KvMapsHeader& got, const KvMapsHeader& expected) {
  if (got.magic != expected.magic) return "holds something else";
  if (got.version != expected.version) return "is of another version";
  if (got.model != expected.model) return "belongs to another model file";
  if (got.n_layers != expected.n_layers || got.n_kv_heads != expected.n_kv_heads || got.head_dim != expected.head_dim) {
    return "belongs to a model of another shape";
  }
  return got.learning != expected.learning ? "was made for other positions" : "";
}

bool usable(const LearntKvMaps& maps) {
  const auto finite = [](const std::vector<float>& numbers) {
    return std::ranges::all_of(numbers, [](float x) { return std::isfinite(x); });
  };
  const auto power_of_two = [](float x) {
    int exponent = 0;
    return std::isnormal(x) && std::frexp(x, &exponent) == 0.5F;
  };
  return finite(maps.centres) && finite(maps.keys) && finite(maps.queries) &&
         std::ranges::all_of(maps.scales, [](float x) { return std::isnormal(x) && x > 0; }) &&
         std::ranges::all_of(maps.value_scales, power_of_two);
}

/// A file that nobody else has, beside `path`, and its name.
std::pair<int, std::string> open_beside(const std::string& path) {
  static std::atomic<std::uint32_t> count{0};
  constexpr int kTries = 16;
  std::string name;
  for (int i = 0; i < kTries; ++i) {
    name = path + "." + std::to_string(::getpid()) + "." + std::to_string(count++) + ".tmp";
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (descriptor >= 0 || errno != EEXIST) return {descriptor, name};
  }
  return {-1, name};
}

bool write_parts(int descriptor, const KvMapsHeader& header, const LearntKvMaps& maps) {
  Sha256 sha256;
  const auto write = [&](std::span<const std::byte> bytes) {
    sha256.add(bytes);
    return write_all(descriptor, bytes);
  };
  if (!write(std::as_bytes(std::span(&header, 1)))) return false;
  for (const auto* part : {&maps.centres, &maps.keys, &maps.queries, &maps.scales, &maps.value_scales}) {
    if (!write(std::as_bytes(std::span(*part)))) return false;
  }
  const Sha256Digest digest = sha256.finish();
  return write_all(descriptor, std::as_bytes(std::span(digest))) && ::fsync(descriptor) == 0;
}

}  // namespace

std::string kv_maps_path(const std::string& model_path) {
  std::error_code failed;
  const std::filesystem::path file = std::filesystem::canonical(model_path, failed);
  return (failed ? model_path : file.string()) + ".kvmaps";
}

Result<std::optional<LearntKvMaps>> read_kv_maps(const std::string& path, const KvMapsIdentity& identity) {
  // Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0 && errno == ENOENT) return std::optional<LearntKvMaps>();
  if (file.get() < 0) return unread();
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return bad("is no regular file");
  KvMapsHeader header;
  if (!read_all(file.get(), std::as_writable_bytes(std::span(&header, 1)))) return unread();
  if (const std::string other = difference(header, header_of(identity)); !other.empty()) return bad(other);

  const std::array<std::size_t, 5> sizes = part_sizes(identity.sizes);
  std::uint64_t expected = sizeof header + sizeof(Sha256Digest);
  for (const std::size_t size : sizes) expected += size * sizeof(float);
  if (static_cast<std::uint64_t>(info.st_size) != expected) {
    return bad("has " + std::to_string(info.st_size) + " bytes, expected " + std::to_string(expected));
  }
  LearntKvMaps maps;
  maps.sizes = identity.sizes;
  Sha256 sha256;
  sha256.add(std::as_bytes(std::span(&header, 1)));
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::vector<float>& part = *parts(maps).at(i);
    part.resize(sizes.at(i));
    if (!read_all(file.get(), std::as_writable_bytes(std::span(part)))) return unread();
    sha256.add(std::as_bytes(std::span(part)));
  }
  Sha256Digest digest{};
  if (!read_all(file.get(), std::as_writable_bytes(std::span(digest)))) return unread();
  if (digest != sha256.finish() || !usable(maps)) return bad("is damaged");
  return std::optional(std::move(maps));
}

Result<void> write_kv_maps(const std::string& path, const KvMapsIdentity& identity, const LearntKvMaps& maps) {
  const NoSizeSignal no_signal;
  auto [opened, name] = open_beside(path);
  Descriptor file(opened);
  bool written = file.get() >= 0 && write_parts(file.get(), header_of(identity), maps);
  int reason = errno;
  if (written && ::close(file.release()) != 0) {
    written = false;
    reason = errno;
  }
  if (written && ::rename(name.c_str(), path.c_str()) == 0) {
    // That the name lasts; where the folder cannot do that, the file is made again some day.
    const std::filesystem::path parent = std::filesystem::path(path).parent_path();
    const Descriptor folder(::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_CLOEXEC));
    if (folder.get() >= 0) ::fsync(folder.get());
    return {};
  }
  if (written) reason = errno;
  if (opened >= 0) ::unlink(name.c_str());
  return bad("cannot write " + path + ": " + std::strerror(reason));
}

}  // namespace headwater::model
