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

Result<ModelShape> Architecture::shape_of(const GgufFile& file) {
  const auto entry = find(file);
  if (!entry) return entry.error();
  return (*entry)->shape(file);
}

}  // namespace headwater::model
