#include "cache/tier/segment_store.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace headwater::cache {
namespace {

constexpr std::uint64_t kLeastSegment = 1 << 20, kMostSegment = 1 << 30;
constexpr std::uint64_t kSegments = 32;  ///< that the room is cut into
constexpr std::uint64_t kIndexShare = 64;
/// Of a record that has no room in the limit's smallest part.
constexpr std::uint64_t kLeastRecords = 8;
/// What a record takes beside its bytes, at most: a segment of its own.
constexpr std::uint64_t kSlack = 4 * 4096;

std::uint64_t segment_bytes(std::uint64_t room) { return std::clamp(room / kSegments, kLeastSegment, kMostSegment); }

Error not_open() { return {ErrorCode::store_failed, "the store is not open", ""}; }

}  // namespace

SegmentStore::SegmentStore(SegmentStoreOptions options)
    : options_(std::move(options)),
      folder_(options_.files == nullptr ? system_files() : *options_.files, options_.path) {
  options_.size_limit = std::max(options_.size_limit, kLeastStoreBytes);
  room_ = options_.size_limit;
}
SegmentStore::~SegmentStore() = default;

Error SegmentStore::failure(const Io& io) const {
  if (io.error == ESTALE || (io.error == ENOENT && folder_.is_open() && !folder_.check())) {
    return {ErrorCode::store_failed, "the folder " + folder_.path() + " was moved or deleted", ""};
  }
  return {ErrorCode::store_failed, std::string("cannot ") + io.doing + " in " + folder_.path() + ": " + io.reason(),
          ""};
}

std::uint64_t SegmentStore::capacity() const {
  const std::uint64_t kept = segment_bytes(room_) + room_ / kIndexShare;
  return room_ > kept ? room_ - kept : 0;
}

StoreState SegmentStore::state() const {
  StoreState state{bytes_, capacity(), std::nullopt};
  if (!segments_.empty()) {
    const Segment& oldest = segments_.begin()->second;
    if (oldest.first < oldest.slots.size() && oldest.slots[oldest.first].live) {
      state.next_out = oldest.slots[oldest.first].entry.terms.tenant;
    }
  }
  return state;
}

// ---- room ----

std::uint64_t SegmentStore::disk_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& [number, segment] : segments_) bytes += segment.disk_bytes();
  return bytes;
}

void SegmentStore::measure_room() {
  room_ = options_.size_limit;
  if (const auto free = folder_.free_bytes(); free && *free < room_) room_ = std::min(room_, disk_bytes() + *free);
}

Io SegmentStore::make_room(std::uint64_t more, std::vector<Key>& dropped) {
  while (!segments_.empty() && (bytes_ + more > capacity() || disk_bytes() + (more == 0 ? 0 : more + kSlack) > room_)) {
    if (const Io io = drop_oldest_record(dropped); !io) return io;
  }
  return {};
}

Io SegmentStore::drop_oldest_record(std::vector<Key>& dropped) {
  const auto oldest = segments_.begin();
  Segment& segment = oldest->second;
  if (segment.first == segment.slots.size()) return remove(oldest);
  const std::size_t at = segment.first++;
  const Slot slot = segment.slots[at];
  const std::uint64_t bytes = std::min(slot.bytes, segment.bytes);
  segment.bytes -= bytes;
  bytes_ -= bytes;
  if (!slot.live) return {};
  const Io erased = erase_slots(oldest, std::array{at}, false);
  if (erased) dropped.push_back(slot.entry.key);
  return erased;
}

bool SegmentStore::drop_oldest_segment(std::vector<Key>& dropped) {
  if (segments_.size() < 2) return false;  // the rest is being written
  const auto oldest = segments_.begin();
  const std::uint64_t had = disk_bytes();
  std::vector<Key> keys;
  for (const Slot& slot : oldest->second.slots) {
    if (slot.live) keys.push_back(slot.entry.key);
  }
  if (!remove(oldest)) return false;
  dropped.insert(dropped.end(), keys.begin(), keys.end());
  room_ = std::min(room_, had);
  if (!std::exchange(said_full_, true)) {
    notes_.push_back("the disk is full: goes on with " + mebibytes(room_) + " instead of " +
                     mebibytes(options_.size_limit));
  }
  return true;
}

// ---- writing ----

Io SegmentStore::create_active() {
  measure_room();  // others may have left the disk, or filled it
  Io made;
  for (int tries = 0; tries < 8; ++tries) {
    Active active;
    active.number = next_number_++;
    made = create_segment(folder_, active.number, active.index, active.data);
    if (made) {
      Segment segment;
      segment.number = active.number;
      segments_.emplace(active.number, std::move(segment));
      active_ = std::move(active);
      return made;
    }
    if (made.error != EEXIST) break;  // something else has the name
  }
  return made;
}

Io SegmentStore::activate(std::uint64_t bytes) {
  if (segments_.empty()) return create_active();
  const Segment& latest = std::prev(segments_.end())->second;
  const bool fits = latest.data_bytes == 0 || latest.data_bytes + bytes <= segment_bytes(room_);
  if (!fits || latest.notes >= kMostNotes) return create_active();
  if (active_ && active_->number == latest.number) return {};
  Active active;
  active.number = latest.number;
  if (const Io io = folder_.open_file(active.number, SegmentFile::index, O_RDWR, active.index); !io) return io;
  if (const Io io = folder_.open_file(active.number, SegmentFile::data, O_RDWR, active.data); !io) return io;
  active_ = std::move(active);
  return {};
}

Io SegmentStore::write(const TierEntry& entry, std::span<const std::byte> head, std::span<const std::byte> body) {
  const std::uint64_t size = head.size() + body.size();
  // First of all, so that there are never two records of a key, of which one might be overlooked when it is erased.
  if (const auto old = places_.find(entry.key); old != places_.end()) {
    const auto segment = segments_.find(old->second.segment);
    if (const Io erased = erase_slots(segment, std::array{old->second.slot}, false); !erased) return erased;
  }
  if (const Io io = activate(size); !io) return io;
  Segment& segment = segments_.at(active_->number);
  const Slot slot{entry, segment.data_bytes, size, segment.notes, true};
  FileSystem& files = folder_.files();
  const int data = active_->data.get();
  Io io = write_all(files, data, head, static_cast<off_t>(slot.offset));
  if (io) io = write_all(files, data, body, static_cast<off_t>(slot.offset + head.size()));
  if (io) io = write_note(files, active_->index, segment.number, slot);
  if (!io) {
    files.truncate(data, static_cast<off_t>(slot.offset));
    return io;
  }
  ++segment.notes;
  ++segment.live;
  segment.data_bytes += size;
  segment.bytes += size;
  bytes_ += size;
  segment.slots.push_back(slot);
  places_[entry.key] = {segment.number, segment.slots.size() - 1};
  return io;
}

Result<std::vector<Key>> SegmentStore::put(const TierEntry& entry, std::span<const std::byte> head,
                                           std::span<const std::byte> body) {
  if (!folder_.is_open()) return not_open();
  if (const Io there = folder_.check(); !there) return failure(there);
  const std::uint64_t size = head.size() + body.size();
  if (size > kMostRecord || size * kLeastRecords > capacity()) {
    const bool limited = room_ >= options_.size_limit;
    return Error{ErrorCode::store_failed,
                 "a record of " + std::to_string(size) + " bytes is too large a part of " +
                     (limited ? "the limit of " + mebibytes(options_.size_limit) + "; raise it"
                              : "the " + mebibytes(room_) + " that the disk has for it; free some"),
                 ""};
  }
  std::vector<Key> dropped;
  for (;;) {
    Io io = make_room(size, dropped);
    if (io) io = write(entry, head, body);
    if (io) break;
    if (!io.no_space() || !drop_oldest_segment(dropped)) return failure(io);
  }
  std::erase(dropped, entry.key);
  return dropped;
}

// ---- reading ----

Result<bool> SegmentStore::get(const Key& key, const Read& read) {
  if (!folder_.is_open()) return not_open();
  if (const Io there = folder_.check(); !there) return failure(there);
  const auto found = places_.find(key);
  if (found == places_.end()) return false;
  const std::uint64_t number = found->second.segment;
  const Slot& slot = segments_.at(number).slots[found->second.slot];
  Descriptor opened;
  const bool active = active_ && active_->number == number;
  if (!active) {
    if (const Io io = folder_.open_file(number, SegmentFile::data, O_RDONLY, opened); !io) return failure(io);
  }
  buffer_.resize(slot.bytes);
  std::size_t got = 0;
  const Io io = read_some(folder_.files(), active ? active_->data.get() : opened.get(), buffer_,
                          static_cast<off_t>(slot.offset), got);
  if (io.error == EIO) return Error{ErrorCode::corrupt, "a bad place on the disk", ""};
  if (!io) return failure(io);
  if (got < buffer_.size()) return Error{ErrorCode::corrupt, "a file of the store was cut", ""};
  read(buffer_);
  return true;
}

// ---- erasing ----

Io SegmentStore::erase_slots(Segments::iterator at, std::span<const std::size_t> slots, bool give_back) {
  Segment& segment = at->second;
  if (segment.live <= slots.size()) return remove(at);
  Descriptor index, data;
  const bool active = active_ && active_->number == segment.number;
  if (!active) {
    const Io opened = folder_.open_file(segment.number, SegmentFile::index, O_RDWR, index);
    if (!opened && opened.error != ENOENT) return opened;  // without its index no record is found
  }
  const Descriptor& notes = active ? active_->index : index;
  if (give_back && !active) (void)folder_.open_file(segment.number, SegmentFile::data, O_RDWR, data);
  const Descriptor& bytes = active ? active_->data : data;
  for (const std::size_t i : slots) {
    Slot& slot = segment.slots[i];
    if (!slot.live) continue;
    if (notes) {
      if (const Io erased = erase_notes(folder_.files(), notes, std::array{slot.note}); !erased) return erased;
      segment.unsynced = true;
    }
    slot.live = false;
    --segment.live;
    const auto place = places_.find(slot.entry.key);
    if (place != places_.end() && place->second.segment == segment.number && place->second.slot == i) {
      places_.erase(place);
    }
    if (give_back && bytes) {
      folder_.files().punch(bytes.get(), static_cast<off_t>(slot.offset), static_cast<off_t>(slot.bytes));
    }
  }
  return {};
}

Io SegmentStore::remove(Segments::iterator at) {
  const Segment& segment = at->second;
  if (active_ && active_->number == segment.number) active_.reset();
  // Without its index no record is found.
  for (const SegmentFile file : {SegmentFile::index, SegmentFile::data}) {
    if (const Io removed = folder_.remove_file(segment.number, file); !removed) return removed;
  }
  for (const Slot& slot : segment.slots) {
    const auto place = places_.find(slot.entry.key);
    if (slot.live && place != places_.end() && place->second.segment == segment.number) places_.erase(place);
  }
  bytes_ -= segment.bytes;
  segments_.erase(at);
  folder_unsynced_ = true;
  return {};
}

Io SegmentStore::sync_erased() {
  for (auto& [number, segment] : segments_) {
    if (!segment.unsynced) continue;
    Descriptor index;
    if (const Io opened = folder_.open_file(number, SegmentFile::index, O_RDWR, index); !opened) return opened;
    if (folder_.files().sync(index.get()) != 0) return {errno, "write"};
    segment.unsynced = false;
  }
  if (folder_unsynced_) {
    if (const Io synced = folder_.sync(); !synced) return synced;
  }
  folder_unsynced_ = false;
  return {};
}

Result<void> SegmentStore::erase(std::span<const Key> keys) {
  if (!folder_.is_open()) return not_open();
  if (const Io there = folder_.check(); !there) return failure(there);
  std::map<std::uint64_t, std::vector<std::size_t>> by_segment;
  for (const Key& key : keys) {
    const auto found = places_.find(key);
    if (found != places_.end()) by_segment[found->second.segment].push_back(found->second.slot);
  }
  for (auto& [number, slots] : by_segment) {
    std::ranges::sort(slots);
    slots.erase(std::unique(slots.begin(), slots.end()), slots.end());
    if (const Io erased = erase_slots(segments_.find(number), slots, true); !erased) return failure(erased);
  }
  const Io synced = sync_erased();
  return synced ? Result<void>() : failure(synced);
}

Result<void> SegmentStore::clear() {
  if (!folder_.is_open()) return not_open();
  if (const Io there = folder_.check(); !there) return failure(there);
  forget();
  std::vector<std::uint64_t> numbers;
  Io io = folder_.segments(numbers);
  for (const std::uint64_t number : numbers) {
    for (const SegmentFile file : {SegmentFile::index, SegmentFile::data}) {
      if (io) io = folder_.remove_file(number, file);
    }
  }
  if (io) io = folder_.sync();
  if (io) return {};
  const Error error = failure(io);
  folder_.close();  // what is left is found as it is opened anew
  return error;
}

}  // namespace headwater::cache
