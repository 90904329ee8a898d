// A file that says it is a model, or several that say they are its parts: whatever their bytes, they are opened, or
// refused with a reason.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "model/decoder_spec.h"
#include "model/gguf.h"
#include "model/gguf_split.h"
#include "model/tokenizer.h"

using headwater::model::GgufFile;

namespace {

/// The input is cut where a file would begin. A whole file is the first of one.
std::vector<std::string_view> cut(std::string_view input) {
  constexpr std::size_t kMostParts = 4;
  std::vector<std::string_view> parts;
  for (std::size_t next; parts.size() + 1 < kMostParts && (next = input.find("GGUF", 4)) != input.npos;) {
    parts.push_back(input.substr(0, next));
    input.remove_prefix(next);
  }
  parts.push_back(input);
  return parts;
}

/// Files in memory, under the names that parts of a model have.
class Parts {
 public:
  explicit Parts(const std::vector<std::string_view>& parts) {
    const headwater::model::SplitName name{folder() + "/m", 0, static_cast<std::uint32_t>(parts.size())};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const int file = memfd_create("model", MFD_CLOEXEC);
      if (file < 0 || write(file, parts[i].data(), parts[i].size()) != static_cast<ssize_t>(parts[i].size())) {
        std::abort();
      }
      files_.push_back(file);
      paths_.push_back(name.path(static_cast<std::uint32_t>(i)));
      if (symlink(("/proc/self/fd/" + std::to_string(file)).c_str(), paths_.back().c_str()) != 0) std::abort();
    }
  }
  ~Parts() {
    for (const std::string& path : paths_) unlink(path.c_str());
    for (const int file : files_) close(file);
  }
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;
  const std::string& last() const { return paths_.back(); }

 private:
  static const std::string& folder() {
    static const std::string made = [] {
      std::string name = (std::filesystem::temp_directory_path() / "headwater_fuzz_XXXXXX").string();
      if (mkdtemp(name.data()) == nullptr) std::abort();
      return name;
    }();
    static const int removed_at_the_end = std::atexit([] { rmdir(made.c_str()); });
    (void)removed_at_the_end;
    return made;
  }

  std::vector<int> files_;
  std::vector<std::string> paths_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Parts parts(cut({reinterpret_cast<const char*>(data), size}));
  const auto opened = GgufFile::open(parts.last());
  if (opened) {
    for (const auto& [key, value] : (*opened)->metadata()) {
      (void)(*opened)->get_uint(key);
      (void)(*opened)->get_float_or(key, 0);
      (void)(*opened)->get_string(key);
      (void)(*opened)->find_strings(key);
    }
    const auto spec = headwater::model::read_decoder_spec(**opened);
    if (!spec && spec.error().message.empty()) std::abort();
    if (spec && spec->layers.size() != spec->shape.n_layers) std::abort();
    headwater::model::TensorRoom room;
    volatile unsigned sum = 0;
    for (const auto& tensor : (*opened)->tensors()) {
      const auto read = (*opened)->tensor(tensor.name, tensor.dims, room);
      if (!read) continue;
      for (std::uint64_t i = 0; i < tensor.bytes; ++i)
        sum = sum + static_cast<unsigned>(read->data[i]);  // all of it is there
    }
    // A vocabulary that is taken can be used.
    if (const auto tokenizer = headwater::model::Tokenizer::load(**opened)) {
      const std::string text = "Hello, W\xC3\xB6rld \x80 1234  \xE2\x96\x81[x]</s>";
      const auto ids = (*tokenizer)->encode(text, {true, true});
      const auto sliced = (*tokenizer)->begin_encoding(text, {true, true});
      while (!sliced->advance(3)) {
      }
      if (sliced->ids() != ids) std::abort();
      if ((*tokenizer)->spelled_bytes(text) > (*tokenizer)->max_bytes_for(ids.size())) std::abort();
      for (const auto id : ids) {
        if (!(*tokenizer)->valid(id)) std::abort();
      }
      (void)(*tokenizer)->decode(ids);
    }
  } else if (opened.error().message.empty()) {
    std::abort();
  }
  return 0;
}
