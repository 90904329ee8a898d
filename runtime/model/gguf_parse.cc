#include "model/gguf_parse.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "model/gguf_cursor.h"
#include "model/gguf_value.h"
#include "model/utf8.h"

namespace headwater::model {
namespace {

using kernels::DType;
using Cursor = GgufCursor;

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF", little endian
constexpr std::uint64_t kDefaultAlignment = 32;
constexpr std::uint64_t kMaxAlignment = 1U << 20U;
constexpr std::uint64_t kMaxKeyBytes = 1U << 16U;
constexpr std::uint64_t kMaxDims = 4;
constexpr std::uint64_t kMaxEntries = 1U << 16U;  ///< of metadata, and of tensors

/// Value types as the format numbers them.
enum ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// Tensor types that are read, by ggml's numbers.
constexpr std::pair<std::uint32_t, DType> kTensorTypes[] = {
    {0, DType::f32},     {1, DType::f16},     {2, DType::q4_0},  {3, DType::q4_1},  {6, DType::q5_0},
    {7, DType::q5_1},    {8, DType::q8_0},    {12, DType::q4_k}, {13, DType::q5_k}, {14, DType::q6_k},
    {20, DType::iq4_nl}, {23, DType::iq4_xs}, {30, DType::bf16}};

/// The names of those that are not, as GGUF tools print them.
constexpr std::pair<std::uint32_t, std::string_view> kOtherTypes[] = {
    {9, "Q8_1"},   {10, "Q2_K"},  {11, "Q3_K"},  {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"},
    {19, "IQ1_S"}, {21, "IQ3_S"}, {22, "IQ2_S"}, {24, "I8"},    {25, "I16"},     {26, "I32"},    {27, "I64"},
    {28, "F64"},   {29, "IQ1_M"}, {34, "TQ1_0"}, {35, "TQ2_0"}, {39, "MXFP4"},   {40, "NVFP4"}};

std::uint64_t width(std::uint32_t type) {
  switch (type) {
    case u8:
    case i8:
    case boolean:
      return 1;
    case u16:
    case i16:
      return 2;
    case u32:
    case i32:
    case f32:
      return 4;
    case u64:
    case i64:
    case f64:
      return 8;
    default:
      return 0;
  }
}

std::string quoted(std::string_view name) { return '"' + printable(name) + '"'; }

/// a * b, or nothing if it does not fit in 64 bits.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

std::uint64_t read_unsigned(Cursor& in, std::uint32_t type, const std::string& what) {
  switch (type) {
    case u8:
      return in.read<std::uint8_t>(what);
    case u16:
      return in.read<std::uint16_t>(what);
    case u32:
      return in.read<std::uint32_t>(what);
    default:
      return in.read<std::uint64_t>(what);
  }
}

std::int64_t read_signed(Cursor& in, std::uint32_t type, const std::string& what) {
  switch (type) {
    case i8:
      return in.read<std::int8_t>(what);
    case i16:
      return in.read<std::int16_t>(what);
    case i32:
      return in.read<std::int32_t>(what);
    default:
      return in.read<std::int64_t>(what);
  }
}

double read_float(Cursor& in, std::uint32_t type, const std::string& what) {
  return type == f32 ? in.read<float>(what) : in.read<double>(what);
}

template <class Read>
auto read_many(std::uint64_t count, Read read) {
  std::vector<decltype(read())> values;
  values.reserve(count);  // the caller has held count against what is left of the file
  for (std::uint64_t i = 0; i < count; ++i) values.push_back(read());
  return values;
}

GgufValue read_array(Cursor& in, const std::string& what) {
  const auto type = in.read<std::uint32_t>(what + "'s element type");
  const auto count = in.read<std::uint64_t>(what + "'s length");
  const std::uint64_t least = type == string ? 8 : width(type);
  if (least == 0)
    in.fail(what + " has elements of type " + std::to_string(type) + ", expected a scalar or string type");
  const auto bytes = product(count, least);
  if (!bytes || *bytes > in.left()) {
    in.fail(what + " has " + std::to_string(count) + " elements, expected no more than fit in the " +
            std::to_string(in.left()) + " bytes that are left of the file");
  }
  in.take_elements(count, what);
  in.need(*bytes, what);
  switch (type) {
    case u8:
    case u16:
    case u32:
    case u64:
      return read_many(count, [&] { return read_unsigned(in, type, what); });
    case i8:
    case i16:
    case i32:
    case i64:
      return read_many(count, [&] { return read_signed(in, type, what); });
    case f32:
    case f64:
      return read_many(count, [&] { return read_float(in, type, what); });
    case boolean:
      return read_many(count, [&] { return in.read_bool(what); });
    default:
      return read_many(count, [&] { return in.read_string(what); });
  }
}

GgufValue read_value(Cursor& in, const std::string& key) {
  const std::string what = "the value of " + quoted(key);
  const auto type = in.read<std::uint32_t>("the type of " + quoted(key));
  switch (type) {
    case u8:
    case u16:
    case u32:
    case u64:
      return read_unsigned(in, type, what);
    case i8:
    case i16:
    case i32:
    case i64:
      return read_signed(in, type, what);
    case f32:
    case f64:
      return read_float(in, type, what);
    case boolean:
      return in.read_bool(what);
    case string:
      return in.read_string(what);
    case array:
      return read_array(in, what);
    default:
      in.fail(what + " has type " + std::to_string(type) + ", expected one of 0 … 12");
  }
}

DType read_tensor_type(Cursor& in, const std::string& what) {
  const auto number = in.read<std::uint32_t>(what + "'s type");
  std::string known;
  for (const auto& [code, type] : kTensorTypes) {
    if (code == number) return type;
    known += (known.empty() ? "" : ", ") + std::string(kernels::name(type));
  }
  for (const auto& [code, name] : kOtherTypes) {
    if (code == number) {
      in.fail(what + " is " + std::string(name) + ", which is not supported, expected one of " + known +
              " (of this model's other files, one named Q4_K_M or Q8_0 will do)");
    }
  }
  in.fail(what + " has type " + std::to_string(number) + ", which is unknown, expected one of " + known);
}

GgufTensor read_tensor(Cursor& in) {
  GgufTensor tensor;
  tensor.name = in.read_string("a tensor's name", kMaxKeyBytes);
  const std::string what = "tensor " + quoted(tensor.name);
  const auto n_dims = in.read<std::uint32_t>(what + "'s number of dimensions");
  if (n_dims == 0 || n_dims > kMaxDims) {
    in.fail(what + " has " + std::to_string(n_dims) + " dimensions, expected 1 … 4");
  }
  std::optional<std::uint64_t> values = 1;
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    tensor.dims.push_back(in.read<std::uint64_t>(what + "'s dimensions"));
    if (tensor.dims.back() == 0) in.fail(what + " has a dimension of 0, expected at least 1");
    if (values) values = product(*values, tensor.dims.back());
  }
  tensor.type = read_tensor_type(in, what);
  if (tensor.dims[0] % kernels::block_values(tensor.type) != 0) {
    in.fail(what + " has rows of " + std::to_string(tensor.dims[0]) + " values, expected a multiple of " +
            std::to_string(kernels::block_values(tensor.type)) + " for " + std::string(kernels::name(tensor.type)));
  }
  const auto bytes =
      values ? product(*values / kernels::block_values(tensor.type), kernels::block_bytes(tensor.type)) : std::nullopt;
  if (!bytes) in.fail(what + " has more values than 64 bits can count");
  tensor.bytes = *bytes;
  tensor.offset = in.read<std::uint64_t>(what + "'s offset");
  return tensor;
}

/// Turns offsets into places in the file and holds them against its end, the alignment and each other.
void place_tensors(std::vector<GgufTensor>& tensors, std::uint64_t data_start, std::uint64_t alignment,
                   std::uint64_t size) {
  for (GgufTensor& tensor : tensors) {
    const std::string what = "tensor " + quoted(tensor.name);
    if (tensor.offset % alignment != 0) {
      throw MalformedGguf{data_start, what + " begins at " + std::to_string(tensor.offset) +
                                          " of the data, expected a multiple of " + std::to_string(alignment)};
    }
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    if (__builtin_add_overflow(data_start, tensor.offset, &begin) ||
        __builtin_add_overflow(begin, tensor.bytes, &end) || end > size) {
      throw MalformedGguf{
          data_start, what + " takes " + std::to_string(tensor.bytes) + " bytes at " + std::to_string(tensor.offset) +
                          " of the data, expected to end within the file's " + std::to_string(size) + " bytes"};
    }
    tensor.offset = begin;
  }
  std::vector<const GgufTensor*> sorted;
  for (const GgufTensor& tensor : tensors) sorted.push_back(&tensor);
  std::ranges::sort(sorted, {}, &GgufTensor::offset);
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1]->offset + sorted[i - 1]->bytes > sorted[i]->offset) {
      throw MalformedGguf{sorted[i]->offset, "tensor " + quoted(sorted[i]->name) + " overlaps " +
                                                 quoted(sorted[i - 1]->name) + ", expected data of its own"};
    }
  }
}

/// Files that people have in place of a model, by what they begin with.
struct OtherFormat {
  std::string_view begins;
  const char* what;
};
constexpr OtherFormat kOtherFormats[] = {
    {"version https://git-lfs", "a pointer of Git LFS, which git lfs pull replaces by the model"},
    {"<", "a web page, as a download that needs a login leaves it"},
    {"PK", "a ZIP archive, as of PyTorch; take the model as GGUF"},
    {"tjgg", "a model in the form before GGUF; take it as GGUF"},
    {"fmgg", "a model in the form before GGUF; take it as GGUF"},
    {"lmgg", "a model in the form before GGUF; take it as GGUF"}};

/// What the file is, where that is known.
std::string other_format(std::string_view beginning) {
  for (const OtherFormat& format : kOtherFormats) {
    if (beginning.starts_with(format.begins)) return std::string(": ") + format.what;
  }
  constexpr std::size_t kLength = 8;  // of what follows
  const bool safetensors = beginning.size() > kLength && beginning.substr(kLength).starts_with("{\"");
  return safetensors ? ": safetensors; take the model as GGUF" : "";
}

void read_magic_and_version(Cursor& in, std::string_view beginning, GgufHeader& header) {
  if (in.read<std::uint32_t>("the magic number") != kMagic) {
    throw MalformedGguf{0, "it begins with \"" + printable(beginning.substr(0, 4)) +
                               "\", expected a GGUF file, with \"GGUF\"" + other_format(beginning)};
  }
  header.version = in.read<std::uint32_t>("the version");
  if (header.version == 2 || header.version == 3) return;
  const bool swapped = header.version != 0 && (header.version & 0xFFFFFFU) == 0;
  throw MalformedGguf{4, "version " + std::to_string(header.version) + ", expected 2 or 3" +
                             (swapped ? " (the file is big-endian; convert it to little-endian)" : "")};
}

/// least: the bytes that the smallest entry takes.
void check_count(const Cursor& in, std::uint64_t count, std::uint64_t least, const std::string& what) {
  if (count > in.left() / least || count > kMaxEntries) {
    in.fail(std::to_string(count) + " " + what + ", expected no more than fit in the " + std::to_string(in.left()) +
            " bytes that are left of the file, and at most " + std::to_string(kMaxEntries));
  }
}

void read_metadata(Cursor& in, std::uint64_t count, GgufHeader& header) {
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string key = in.read_string("a metadata key", kMaxKeyBytes);
    if (!seen.insert(key).second) in.fail("the key " + quoted(key) + " is there twice, expected it once");
    GgufValue value = read_value(in, key);
    header.metadata.emplace_back(std::move(key), std::move(value));
  }
}

void read_tensors(Cursor& in, std::uint64_t count, GgufHeader& header) {
  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < count; ++i) {
    header.tensors.push_back(read_tensor(in));
    const std::string& name = header.tensors.back().name;
    if (!seen.insert(name).second) in.fail("tensor " + quoted(name) + " is there twice, expected it once");
  }
}

/// What general.alignment says, 32 where it is missing.
std::uint64_t alignment_of(const Cursor& in, const GgufHeader& header) {
  const auto entry = std::ranges::find(header.metadata, "general.alignment", [](const auto& e) { return e.first; });
  if (entry == header.metadata.end()) return kDefaultAlignment;
  const auto* alignment = std::get_if<std::uint64_t>(&entry->second);
  if (alignment == nullptr || !std::has_single_bit(*alignment) || *alignment > kMaxAlignment) {
    in.fail("general.alignment is " + describe_value(entry->second) + ", expected an unsigned power of two from 1 to " +
            std::to_string(kMaxAlignment));
  }
  return *alignment;
}

}  // namespace

GgufHeader parse_gguf(std::span<const std::byte> beginning, std::uint64_t size) {
  Cursor in(beginning, size);
  GgufHeader header;
  read_magic_and_version(in, {reinterpret_cast<const char*>(beginning.data()), beginning.size()}, header);
  const auto n_tensors = in.read<std::uint64_t>("the number of tensors");
  const auto n_metadata = in.read<std::uint64_t>("the number of metadata entries");
  // A name's length, a type and a value; a name's length, the number of dimensions, one, a type and an offset.
  check_count(in, n_metadata, 13, "metadata entries");
  check_count(in, n_tensors, 32, "tensors");
  read_metadata(in, n_metadata, header);
  read_tensors(in, n_tensors, header);

  const std::uint64_t alignment = alignment_of(in, header);
  const std::uint64_t data_start = (in.offset() + alignment - 1) / alignment * alignment;
  place_tensors(header.tensors, data_start, alignment, size);
  return header;
}

}  // namespace headwater::model
