#pragma once
// Keeps what was learnt of a model's keys in a file beside it.
//
// The file: KvMapsHeader, the numbers of LearntKvMaps as little-endian float32 (centres, keys, queries, scales, value
// scales), SHA-256 of all that. Whatever it holds is hostile until held against what it must be.

#include <optional>
#include <string>

#include "headwater/result.h"
#include "model/kv_maps.h"
#include "model/sha256.h"

namespace headwater::model {

/// Whose maps a file must hold.
struct KvMapsIdentity {
  Sha256Digest model{};     ///< GgufFile::digest()
  Sha256Digest learning{};  ///< digest_of(KvLearning)
  KvSizes sizes;            ///< REQUIRES: has_maps(sizes)
};

/// The file beside a model's, or beside the first of a model's; beside the file itself where the path is a link to it.
std::string kv_maps_path(const std::string& model_path);

/// Nothing: there is no file. Error: what is wrong with it, as what follows "PATH ".
Result<std::optional<LearntKvMaps>> read_kv_maps(const std::string& path, const KvMapsIdentity& identity);

/// Replaces the file as a whole, or leaves it as it is. Error: why it cannot be written, with the path.
Result<void> write_kv_maps(const std::string& path, const KvMapsIdentity& identity, const LearntKvMaps& maps);

}  // namespace headwater::model
