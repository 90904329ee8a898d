#include "cache/tier/rocksdb_store.h"

#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cache/tier/record.h"

namespace headwater::cache {
namespace {

constexpr const char* kFolder = "headwater-kv";
constexpr const char* kFormatKey = "format";
constexpr const char* kFormat = "2";
constexpr std::uint64_t kLeastBuffer = 1 << 20, kMostBuffer = 32 << 20;
constexpr std::uint64_t kMostFiles = 512;  ///< all are open
/// Of a record that has no room in the limit's smallest part.
constexpr std::uint64_t kLeastRecords = 8;

/// A buffer becomes a file.
std::uint64_t buffer_bytes(std::uint64_t limit) {
  return std::max(std::clamp(limit / 32, kLeastBuffer, kMostBuffer), limit / kMostFiles);
}
/// Of the tables. Beside them are two buffers in RocksDB's log, a file that is being written and one that is about to
/// be removed, and what it notes about itself.
std::uint64_t table_bytes(std::uint64_t limit) { return limit - 6 * buffer_bytes(limit); }

Error failure(const rocksdb::Status& status) {
  return {status.IsCorruption() ? ErrorCode::corrupt : ErrorCode::store_failed, status.ToString(), ""};
}

/// A number as RocksDB orders it.
class NumberKey {
 public:
  explicit NumberKey(std::uint64_t number) {
    for (int i = 0; i < 8; ++i) bytes_[static_cast<std::size_t>(i)] = static_cast<char>(number >> (56 - 8 * i));
  }
  operator rocksdb::Slice() const { return {bytes_.data(), bytes_.size()}; }  // NOLINT(*-explicit-*)

 private:
  std::array<char, 8> bytes_;
};

std::uint64_t number_of(const rocksdb::Slice& key) {
  std::uint64_t number = 0;
  for (const char byte : key.ToStringView()) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

rocksdb::Slice slice(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// What "default" has of a record.
struct Note {
  Key key{};
  std::uint64_t bytes = 0;
  std::int64_t expires = 0;
  TenantMark tenant{};
  std::uint32_t zero = 0;
};
static_assert(sizeof(Note) == 64);

rocksdb::DBOptions database_options(const RocksDbOptions& given) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.atomic_flush = true;  // the small family would else keep the log of the large one
  options.max_background_jobs = 2;
  options.max_open_files = -1;  // FIFO wants all of them open
  options.max_manifest_file_size = 1 << 20;
  options.keep_log_file_num = 1;
  options.info_log_level = rocksdb::ERROR_LEVEL;
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.skip_stats_update_on_db_open = true;
  if (given.env != nullptr) options.env = given.env;
  return options;
}

rocksdb::ColumnFamilyOptions notes_options() {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = 1 << 20;
  options.compression = rocksdb::kNoCompression;
  return options;
}

rocksdb::ColumnFamilyOptions blocks_options(std::uint64_t limit) {
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = buffer_bytes(limit);
  options.max_write_buffer_number = 2;
  options.compression = rocksdb::kNoCompression;
  options.num_levels = 1;
  options.compaction_style = rocksdb::kCompactionStyleFIFO;
  options.compaction_options_fifo.max_table_files_size = table_bytes(limit);
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;  // what has been read is in the arena
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

struct RocksDbStore::Database {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;

  rocksdb::ColumnFamilyHandle* notes() const { return families[0]; }
  rocksdb::ColumnFamilyHandle* blocks() const { return families[1]; }

  Database() = default;
  ~Database() {
    for (auto* family : families) db->DestroyColumnFamilyHandle(family);
    if (db != nullptr) db->Close();
  }
};

RocksDbStore::RocksDbStore(RocksDbOptions options) : options_(std::move(options)) {
  options_.size_limit = std::max(options_.size_limit, kLeastStoreBytes);
}
RocksDbStore::~RocksDbStore() = default;

std::string RocksDbStore::name() const { return options_.path; }

std::uint64_t RocksDbStore::capacity() const {
  return table_bytes(options_.size_limit) - 2 * buffer_bytes(options_.size_limit);
}

std::string RocksDbStore::path() const { return (std::filesystem::path(options_.path) / kFolder).string(); }

StoreState RocksDbStore::state() const {
  StoreState state{bytes_, capacity(), std::nullopt};
  if (!slots_.empty() && holds(slots_.front())) state.next_out = slots_.front().entry.terms.tenant;
  return state;
}

Result<void> RocksDbStore::open_database() {
  const rocksdb::DBOptions options = database_options(options_);
  const std::vector<rocksdb::ColumnFamilyDescriptor> families = {{rocksdb::kDefaultColumnFamilyName, notes_options()},
                                                                 {"blocks", blocks_options(options_.size_limit)}};
  auto database = std::make_unique<Database>();
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, path(), families, &database->families, &db);
  database->db.reset(db);
  if (!status.ok()) return failure(status);
  std::string format;
  const rocksdb::Status known = db->Get({}, database->notes(), kFormatKey, &format);
  if (known.IsNotFound()) {
    if (const auto put = db->Put({}, database->notes(), kFormatKey, kFormat); !put.ok()) return failure(put);
  } else if (!known.ok()) {
    return failure(known);
  } else if (format != kFormat) {
    return Error{ErrorCode::corrupt, "written by another version", ""};
  }
  database_ = std::move(database);
  return {};
}

Result<void> RocksDbStore::read_keys() {
  const std::unique_ptr<rocksdb::Iterator> at(database_->db->NewIterator({}, database_->notes()));
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    if (at->key().size() != 8) continue;  // the format
    Note note;
    if (at->value().size() != sizeof note) return Error{ErrorCode::corrupt, "a note of another size", ""};
    std::memcpy(&note, at->value().data(), sizeof note);
    const std::uint64_t number = number_of(at->key());
    if (note.bytes > options_.size_limit) return Error{ErrorCode::corrupt, "a note of a record that has no room", ""};
    slots_.push_back({number, {note.key, {note.tenant, note.expires}}, note.bytes});
    numbers_[note.key] = number;
    bytes_ += note.bytes;
    next_number_ = number + 1;
  }
  return at->status().ok() ? Result<void>() : failure(at->status());
}

Result<void> RocksDbStore::open_all() {
  database_.reset();
  slots_.clear();
  numbers_.clear();
  bytes_ = next_number_ = 0;
  std::error_code failed;
  std::filesystem::create_directories(path(), failed);
  if (failed) return Error{ErrorCode::store_failed, "cannot make the folder " + path() + ": " + failed.message(), ""};
  std::filesystem::permissions(path(), std::filesystem::perms::owner_all, failed);  // prompts are private
  if (auto opened = open_database(); !opened) return opened;
  return read_keys();
}

Result<void> RocksDbStore::destroy() {
  database_.reset();
  const rocksdb::Status destroyed = rocksdb::DestroyDB(path(), rocksdb::Options(database_options(options_), {}));
  return destroyed.ok() ? Result<void>() : failure(destroyed);
}

Result<std::vector<TierEntry>> RocksDbStore::open() {
  Result<void> opened = open_all();
  if (!opened && opened.error().code == ErrorCode::corrupt) {
    if (const auto emptied = destroy(); !emptied) return emptied.error();
    opened = open_all();
  }
  if (!opened) {
    database_.reset();
    return Error{ErrorCode::store_failed, opened.error().message, ""};
  }
  rocksdb::WriteBatch batch;  // a smaller limit than last time
  for (const Slot& slot : make_room(0)) batch.Delete(database_->notes(), NumberKey(slot.number));
  if (const auto status = database_->db->Write({}, &batch); !status.ok()) return failure(status);
  std::vector<TierEntry> entries;
  for (const Slot& slot : slots_) {
    if (holds(slot)) entries.push_back(slot.entry);
  }
  return entries;
}

bool RocksDbStore::holds(const Slot& slot) const {
  const auto found = numbers_.find(slot.entry.key);
  return found != numbers_.end() && found->second == slot.number;
}

std::vector<RocksDbStore::Slot> RocksDbStore::make_room(std::uint64_t more) {
  std::vector<Slot> dropped;
  while (!slots_.empty() && bytes_ + more > capacity()) {
    const Slot slot = slots_.front();
    slots_.pop_front();
    bytes_ -= slot.bytes;
    if (!holds(slot)) continue;
    numbers_.erase(slot.entry.key);
    dropped.push_back(slot);
  }
  return dropped;
}

Result<std::vector<Key>> RocksDbStore::put(const TierEntry& entry, std::span<const std::byte> head,
                                           std::span<const std::byte> body) {
  if (database_ == nullptr) return Error{ErrorCode::store_failed, "the store is not open", ""};
  const std::uint64_t size = head.size() + body.size();
  if (size > buffer_bytes(options_.size_limit) || size * kLeastRecords > capacity()) {
    return Error{ErrorCode::store_failed,
                 "a record of " + std::to_string(size) + " bytes is too large a part of the limit of " +
                     std::to_string(options_.size_limit) + " bytes; raise it",
                 ""};
  }
  rocksdb::WriteBatch batch;
  const std::uint64_t number = next_number_++;
  const Note note{entry.key, size, entry.terms.expires, entry.terms.tenant};
  const NumberKey place(number);
  batch.Put(database_->notes(), place, {reinterpret_cast<const char*>(&note), sizeof note});
  const rocksdb::Slice number_key = place;
  const std::array parts{slice(head), slice(body)};
  batch.Put(database_->blocks(), rocksdb::SliceParts(&number_key, 1), rocksdb::SliceParts(parts.data(), 2));
  if (const auto old = numbers_.find(entry.key); old != numbers_.end()) {
    batch.Delete(database_->notes(), NumberKey(old->second));
  }
  const std::vector<Slot> dropped = make_room(size);
  for (const Slot& slot : dropped) batch.Delete(database_->notes(), NumberKey(slot.number));
  if (const auto status = database_->db->Write({}, &batch); !status.ok()) return failure(status);
  slots_.push_back({number, entry, size});
  numbers_[entry.key] = number;
  bytes_ += size;
  std::vector<Key> keys;
  for (const Slot& slot : dropped) {
    if (slot.entry.key != entry.key) keys.push_back(slot.entry.key);
  }
  return keys;
}

Result<bool> RocksDbStore::get(const Key& key, const Read& read) {
  if (database_ == nullptr) return Error{ErrorCode::store_failed, "the store is not open", ""};
  const auto found = numbers_.find(key);
  if (found == numbers_.end()) return false;
  rocksdb::PinnableSlice record;
  const auto status = database_->db->Get({}, database_->blocks(), NumberKey(found->second), &record);
  if (status.IsNotFound()) {
    numbers_.erase(found);
    return false;
  }
  if (!status.ok()) return failure(status);
  read(std::as_bytes(std::span(record.data(), record.size())));
  return true;
}

Result<void> RocksDbStore::erase(std::span<const Key> keys) {
  if (database_ == nullptr) return Error{ErrorCode::store_failed, "the store is not open", ""};
  rocksdb::WriteBatch batch;
  for (const Key& key : keys) {
    const auto found = numbers_.find(key);
    if (found == numbers_.end()) continue;
    const NumberKey place(found->second);
    numbers_.erase(found);
    batch.Delete(database_->notes(), place);
    batch.Delete(database_->blocks(), place);
  }
  rocksdb::WriteOptions durable;
  durable.sync = true;
  const auto status = database_->db->Write(durable, &batch);
  return status.ok() ? Result<void>() : failure(status);
}

Result<void> RocksDbStore::clear() {
  if (const auto destroyed = destroy(); !destroyed) return destroyed;
  return open_all();
}

}  // namespace headwater::cache
