#include "model/gguf.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

namespace headwater::model {
namespace {

using kernels::DType;

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF", little endian
constexpr std::uint64_t kMaxAlignment = 1U << 20U;
constexpr std::uint64_t kMaxKeyBytes = 1U << 16U;
constexpr std::uint64_t kMaxDims = 4;

/// Value types as the format numbers them.
enum ValueType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// Tensor types that are read, by ggml's numbers.
constexpr std::pair<std::uint32_t, DType> kTensorTypes[] = {{0, DType::f32},  {1, DType::f16},  {2, DType::q4_0},
                                                            {3, DType::q4_1}, {8, DType::q8_0}, {30, DType::bf16}};

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

/// a * b, or nothing if it does not fit in 64 bits.
std::optional<std::uint64_t> product(std::uint64_t a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

/// Why a file cannot be read; caught in open().
struct Malformed {
  std::uint64_t offset;
  std::string message;
};

/// Reads forward through the file; every read is held against its end.
class Cursor {
 public:
  Cursor(const std::byte* data, std::uint64_t size) : data_(data), size_(size) {}

  std::uint64_t offset() const { return offset_; }
  std::uint64_t left() const { return size_ - offset_; }

  [[noreturn]] void fail(const std::string& message) const { throw Malformed{offset_, message}; }

  void need(std::uint64_t bytes, const std::string& what) const {
    if (bytes > left()) {
      fail(what + " takes " + std::to_string(bytes) + " bytes, expected at most the " + std::to_string(left()) +
           " that are left of the file");
    }
  }

  template <class T>
  T read(const std::string& what) {
    need(sizeof(T), what);
    T value;
    std::memcpy(&value, data_ + offset_, sizeof(T));
    offset_ += sizeof(T);
    return value;
  }

  std::string read_string(const std::string& what, std::uint64_t most = std::numeric_limits<std::uint64_t>::max()) {
    const auto length = read<std::uint64_t>(what + "'s length");
    if (length > most) {
      fail(what + " has " + std::to_string(length) + " bytes, expected at most " + std::to_string(most));
    }
    need(length, what);
    std::string text(reinterpret_cast<const char*>(data_ + offset_), length);
    offset_ += length;
    return text;
  }

  bool read_bool(const std::string& what) {
    const auto value = read<std::uint8_t>(what);
    if (value > 1) fail(what + " is " + std::to_string(value) + ", expected a boolean, 0 or 1");
    return value == 1;
  }

 private:
  const std::byte* data_;
  std::uint64_t size_;
  std::uint64_t offset_ = 0;
};

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
  const std::string what = "the value of \"" + key + "\"";
  const auto type = in.read<std::uint32_t>("the type of \"" + key + "\"");
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
    known += (known.empty() ? "" : ", ") + std::string(kernels::name(type)) + " (" + std::to_string(code) + ")";
  }
  in.fail(what + " has type " + std::to_string(number) + ", expected one of " + known);
}

GgufTensor read_tensor(Cursor& in) {
  GgufTensor tensor;
  tensor.name = in.read_string("a tensor's name", kMaxKeyBytes);
  const std::string what = "tensor \"" + tensor.name + "\"";
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
    const std::string what = "tensor \"" + tensor.name + "\"";
    if (tensor.offset % alignment != 0) {
      throw Malformed{data_start, what + " begins at " + std::to_string(tensor.offset) +
                                      " of the data, expected a multiple of " + std::to_string(alignment)};
    }
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    if (__builtin_add_overflow(data_start, tensor.offset, &begin) ||
        __builtin_add_overflow(begin, tensor.bytes, &end) || end > size) {
      throw Malformed{data_start,
                      what + " takes " + std::to_string(tensor.bytes) + " bytes at " + std::to_string(tensor.offset) +
                          " of the data, expected to end within the file's " + std::to_string(size) + " bytes"};
    }
    tensor.offset = begin;
  }
  std::vector<const GgufTensor*> sorted;
  for (const GgufTensor& tensor : tensors) sorted.push_back(&tensor);
  std::ranges::sort(sorted, {}, &GgufTensor::offset);
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1]->offset + sorted[i - 1]->bytes > sorted[i]->offset) {
      throw Malformed{sorted[i]->offset, "tensor \"" + sorted[i]->name + "\" overlaps \"" + sorted[i - 1]->name +
                                             "\", expected data of its own"};
    }
  }
}

Error file_error(const std::string& path, const std::string& message) {
  return {"invalid_model", path + ": " + message, ""};
}

}  // namespace

struct GgufFile::Digest {
  std::once_flag once;
  std::array<std::uint8_t, 32> value{};
};

struct GgufFile::Index {
  std::unordered_map<std::string_view, std::size_t> metadata, tensors;
};

void GgufFile::parse() {
  Cursor in(map_, size_);
  if (in.read<std::uint32_t>("the magic number") != kMagic) {
    throw Malformed{0, "no GGUF file, expected it to begin with \"GGUF\""};
  }
  version_ = in.read<std::uint32_t>("the version");
  if (version_ != 2 && version_ != 3) {
    const bool swapped = version_ >= (1U << 24U);
    throw Malformed{4, "version " + std::to_string(version_) + ", expected 2 or 3" +
                           (swapped ? " (the file seems to be big-endian)" : "")};
  }
  const auto n_tensors = in.read<std::uint64_t>("the number of tensors");
  const auto n_metadata = in.read<std::uint64_t>("the number of metadata entries");
  // The least that an entry takes: a name's length, a type, a value; or length, dimensions, type, offset.
  const auto check_count = [&](std::uint64_t count, std::uint64_t least, const char* what) {
    if (count > in.left() / least) {
      in.fail(std::to_string(count) + " " + what + ", expected no more than fit in the " + std::to_string(in.left()) +
              " bytes that are left of the file");
    }
  };
  check_count(n_metadata, 13, "metadata entries");
  check_count(n_tensors, 32, "tensors");

  std::unordered_set<std::string> seen;
  for (std::uint64_t i = 0; i < n_metadata; ++i) {
    std::string key = in.read_string("a metadata key", kMaxKeyBytes);
    if (!seen.insert(key).second) in.fail("the key \"" + key + "\" is there twice, expected it once");
    GgufValue value = read_value(in, key);
    metadata_.emplace_back(std::move(key), std::move(value));
  }
  seen.clear();
  for (std::uint64_t i = 0; i < n_tensors; ++i) {
    tensors_.push_back(read_tensor(in));
    if (!seen.insert(tensors_.back().name).second) {
      in.fail("tensor \"" + tensors_.back().name + "\" is there twice, expected it once");
    }
  }
  for (std::size_t i = 0; i < metadata_.size(); ++i) index_->metadata.emplace(metadata_[i].first, i);
  for (std::size_t i = 0; i < tensors_.size(); ++i) index_->tensors.emplace(tensors_[i].name, i);

  const auto alignment = get_uint_or("general.alignment", 32);
  if (!alignment || !std::has_single_bit(*alignment) || *alignment > kMaxAlignment) {
    in.fail("general.alignment is no power of two from 1 to 1048576");
  }
  const std::uint64_t data_start = (in.offset() + *alignment - 1) / *alignment * *alignment;
  place_tensors(tensors_, data_start, *alignment, size_);
}

GgufFile::GgufFile() : index_(std::make_unique<Index>()), digest_(std::make_unique<Digest>()) {}

Result<std::shared_ptr<const GgufFile>> GgufFile::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return file_error(path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info {};
  const bool known = fstat(descriptor, &info) == 0;
  const bool regular = known && S_ISREG(info.st_mode);
  void* map = MAP_FAILED;
  if (regular && info.st_size > 0) {
    map = mmap(nullptr, static_cast<std::size_t>(info.st_size), PROT_READ, MAP_PRIVATE, descriptor, 0);
  }
  ::close(descriptor);
  if (!regular) return file_error(path, "is not a regular file, expected a GGUF model");
  if (info.st_size == 0) return file_error(path, "offset 0: the file is empty, expected a GGUF model");
  if (map == MAP_FAILED) return file_error(path, std::string("cannot be mapped: ") + std::strerror(errno));

  std::shared_ptr<GgufFile> file(new GgufFile);
  file->path_ = path;
  file->map_ = static_cast<const std::byte*>(map);
  file->size_ = static_cast<std::uint64_t>(info.st_size);
  try {
    file->parse();
  } catch (const Malformed& malformed) {
    return file_error(path, "offset " + std::to_string(malformed.offset) + ": " + malformed.message);
  }
  return std::shared_ptr<const GgufFile>(std::move(file));
}

GgufFile::~GgufFile() {
  if (map_ != nullptr) munmap(const_cast<std::byte*>(map_), size_);
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = index_->metadata.find(key);
  return found == index_->metadata.end() ? nullptr : &metadata_[found->second].second;
}

namespace {

Error wrong(const std::string& path, std::string_view key, const char* expected, bool missing) {
  return file_error(path, "metadata \"" + std::string(key) + "\" " + (missing ? "is missing" : "has another type") +
                              ", expected " + expected);
}

std::optional<std::uint64_t> as_unsigned(const GgufValue& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number != nullptr && *number >= 0) return static_cast<std::uint64_t>(*number);
  return std::nullopt;
}

}  // namespace

Result<std::uint64_t> GgufFile::get_uint(std::string_view key) const {
  const GgufValue* value = find(key);
  const auto number = value == nullptr ? std::nullopt : as_unsigned(*value);
  if (!number) return wrong(path_, key, "an integer of at least 0", value == nullptr);
  return *number;
}

Result<std::uint64_t> GgufFile::get_uint_or(std::string_view key, std::uint64_t fallback) const {
  return find(key) == nullptr ? Result<std::uint64_t>(fallback) : get_uint(key);
}

Result<double> GgufFile::get_float_or(std::string_view key, double fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto number = as_unsigned(*value)) return static_cast<double>(*number);
  return wrong(path_, key, "a number", false);
}

Result<bool> GgufFile::get_bool_or(std::string_view key, bool fallback) const {
  const GgufValue* value = find(key);
  if (value == nullptr) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return wrong(path_, key, "a boolean", false);
}

Result<std::string> GgufFile::get_string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value != nullptr) {
    if (const auto* text = std::get_if<std::string>(value)) return *text;
  }
  return wrong(path_, key, "a string", value == nullptr);
}

const std::vector<std::string>* GgufFile::find_strings(std::string_view key) const {
  const GgufValue* value = find(key);
  return value == nullptr ? nullptr : std::get_if<std::vector<std::string>>(value);
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = index_->tensors.find(name);
  return found == index_->tensors.end() ? nullptr : &tensors_[found->second];
}

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const {
  return {map_ + tensor.offset, tensor.bytes};
}

Result<kernels::HostTensor> GgufFile::tensor(std::string_view name, std::span<const std::uint64_t> dims) const {
  const auto shape = [](std::span<const std::uint64_t> sizes) {
    std::string text;
    for (std::uint64_t size : sizes) text += (text.empty() ? "" : " x ") + std::to_string(size);
    return "[" + text + "]";
  };
  const GgufTensor* found = find_tensor(name);
  if (found == nullptr) {
    return file_error(path_, "tensor \"" + std::string(name) + "\" is missing, expected shape " + shape(dims));
  }
  if (!std::ranges::equal(found->dims, dims)) {
    return file_error(
        path_, "tensor \"" + std::string(name) + "\" has shape " + shape(found->dims) + ", expected " + shape(dims));
  }
  return kernels::HostTensor{map_ + found->offset, found->type, dims.size() > 1 ? dims[1] : 1, dims[0]};
}

const std::array<std::uint8_t, 32>& GgufFile::digest() const {
  std::call_once(digest_->once, [this] {
    unsigned size = 0;
    EVP_Digest(map_, size_, digest_->value.data(), &size, EVP_sha256(), nullptr);
  });
  return digest_->value;
}

}  // namespace headwater::model
