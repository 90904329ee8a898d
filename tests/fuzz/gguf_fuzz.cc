// A file that says it is a model: whatever its bytes, it is opened, or refused with a reason.

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

#include "model/gguf.h"
#include "model/tokenizer.h"

using headwater::model::GgufFile;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int file = memfd_create("model", MFD_CLOEXEC);
  if (file < 0 || write(file, data, size) != static_cast<ssize_t>(size)) std::abort();
  const auto opened = GgufFile::open("/proc/self/fd/" + std::to_string(file));
  if (opened) {
    for (const auto& [key, value] : (*opened)->metadata()) {
      (void)(*opened)->get_uint(key);
      (void)(*opened)->get_float_or(key, 0);
      (void)(*opened)->get_string(key);
      (void)(*opened)->find_strings(key);
    }
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
      const auto ids = (*tokenizer)->encode("Hello, W\xC3\xB6rld \x80 1234", {true, true});
      for (const auto id : ids) {
        if (!(*tokenizer)->valid(id)) std::abort();
      }
      (void)(*tokenizer)->decode(ids);
    }
  } else if (opened.error().message.empty()) {
    std::abort();
  }
  close(file);
  return 0;
}
