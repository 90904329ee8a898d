#include "model/architecture.h"

#include <algorithm>

#include "model/llama.h"

namespace headwater::model {
namespace {

/// An architecture, by the name that GGUF files give it.
struct Entry {
  const char* name;
  Result<ModelShape> (*shape)(const GgufFile&);
  Result<std::unique_ptr<Architecture>> (*load)(std::shared_ptr<const GgufFile>, std::shared_ptr<kernels::Backend>);
};

constexpr Entry kArchitectures[] = {
    {"llama", llama_shape, load_llama},
};

Result<const Entry*> find(const GgufFile& file) {
  const auto name = file.get_string("general.architecture");
  if (!name) return name.error();
  std::string known;
  for (const Entry& entry : kArchitectures) {
    if (*name == entry.name) return &entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error{ErrorCode::invalid_model,
               file.path() + ": unknown architecture \"" + *name + "\" (known: " + known + ")", ""};
}

}  // namespace

Result<std::unique_ptr<Architecture>> Architecture::load(std::shared_ptr<const GgufFile> file,
                                                         std::shared_ptr<kernels::Backend> backend) {
  const auto entry = find(*file);
  if (!entry) return entry.error();
  return (*entry)->load(std::move(file), std::move(backend));
}

std::uint64_t Architecture::weight_bytes(const GgufFile& file, const kernels::Backend& backend) {
  std::uint64_t sum = 0;
  std::uint64_t under_way = 0;
  for (const GgufTensor& tensor : file.tensors()) {
    const bool matrix = tensor.dims.size() > 1;
    const kernels::HostTensor view{nullptr, tensor.type, matrix ? tensor.dims[1] : 1, tensor.dims[0]};
    const std::uint64_t loaded = matrix ? backend.matrix_bytes(view) : tensor.dims[0] * sizeof(float);
    under_way = std::max(under_way, tensor.bytes + loaded);
    sum += loaded;
    // An embedding that is the output matrix, too, shares the memory of that only where both keep the file's format.
    if (tensor.name == "token_embd.weight" && loaded != tensor.bytes) sum += tensor.bytes;
  }
  return sum + under_way;
}

Result<ModelShape> Architecture::shape_of(const GgufFile& file) {
  const auto entry = find(file);
  if (!entry) return entry.error();
  return (*entry)->shape(file);
}

}  // namespace headwater::model
