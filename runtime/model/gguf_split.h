#pragma once
// GGUF models in several files, as llama.cpp's gguf-split writes them: NAME-00001-of-00003.gguf and so on. The first
// has the metadata, each has some of the tensors, and split.no, split.count and split.tensors.count in all of them say
// what belongs together. Source: llama.cpp, tools/gguf-split.

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "headwater/result.h"
#include "model/gguf_parse.h"

namespace headwater::model {

/// What the name of a part says.
struct SplitName {
  std::string stem;         ///< with folders, all before "-00001-of-00003.gguf"
  std::uint32_t index = 0;  ///< from 0 on; names count from 1
  std::uint32_t count = 0;

  std::string path(std::uint32_t of_index) const;
};
std::optional<SplitName> parse_split_name(const std::string& path);

/// "folder/model" for "folder/model-00001-of-00003", without the ending; any other name as it is.
std::string without_part(const std::string& name);

/// What the metadata of a part say.
struct Split {
  std::uint64_t index = 0, count = 1;
  std::optional<std::uint64_t> n_tensors;  ///< of all parts together
};
/// Error: a value that is none, or too great. A file without split.count is whole: a count of 1.
Result<Split> read_split(const GgufHeader& header, const std::string& path);

/// Puts the headers of a model's parts together and holds each against the first.
class SplitMerger {
 public:
  /// `first`: the header of part 1, whose tensors and metadata become the model's. Error: it is not part 1 of `count`.
  static Result<SplitMerger> begin(GgufHeader first, const std::string& path, std::uint32_t count);

  /// The next part. Error: it is another one, of another model, or has a tensor that was there before.
  Result<void> add(GgufHeader part, const std::string& path);
  /// All of them together. Error: there are not as many tensors as the parts say.
  Result<GgufHeader> finish() &&;

 private:
  SplitMerger() = default;
  Result<void> take_tensors(std::vector<GgufTensor> tensors, const std::string& path);

  GgufHeader all_;
  std::string first_path_;
  std::uint32_t count_ = 0, added_ = 0;
  std::optional<std::uint64_t> n_tensors_;
  std::unordered_map<std::string, std::string> where_;  ///< each tensor's part
};

}  // namespace headwater::model
