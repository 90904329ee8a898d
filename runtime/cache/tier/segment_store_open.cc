// How a store opens: what it believes of the files that are there, and what it throws away.

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <utility>

#include "cache/tier/segment_store.h"

namespace headwater::cache {

void SegmentStore::forget() {
  active_.reset();
  segments_.clear();
  places_.clear();
  bytes_ = damaged_records_ = lost_segments_ = 0;
  lost_why_.clear();
  folder_unsynced_ = said_full_ = false;
}

Result<std::vector<TierEntry>> SegmentStore::open() {
  forget();
  std::string why;
  if (!folder_.open(why)) return Error{ErrorCode::store_failed, why, ""};
  std::vector<Key> dropped;
  Io read = read_all();
  if (read) {
    room_ = options_.size_limit;
    read = make_room(0, dropped);  // a smaller limit than last time
    measure_room();
  }
  tell_of_damage();
  if (!read) {
    const Error error = failure(read);
    forget();
    folder_.close();
    return error;
  }
  if (capacity() == 0 && places_.empty()) {
    const std::string room = mebibytes(room_);
    folder_.close();
    return Error{ErrorCode::store_failed, "the disk of " + folder_.path() + " has no room, " + room + "; free some",
                 ""};
  }
  std::vector<TierEntry> entries;
  for (const auto& [number, segment] : segments_) {
    for (const Slot& slot : segment.slots) {
      if (slot.live) entries.push_back(slot.entry);
    }
  }
  return entries;
}

Io SegmentStore::read_all() {
  std::vector<std::uint64_t> numbers;
  if (const Io listed = folder_.segments(numbers); !listed) return listed;
  for (const std::uint64_t number : numbers) {
    SegmentReading reading;
    if (const Io read = read_segment(folder_, number, reading); !read) return read;
    if (const Io taken = take(std::move(reading)); !taken) return taken;
    next_number_ = std::max(next_number_, number + 1);
  }
  return {};
}

Io SegmentStore::take(SegmentReading&& reading) {
  if (!reading.lost.empty()) {
    ++lost_segments_;
    lost_why_ = reading.lost;
    for (const SegmentFile file : {SegmentFile::index, SegmentFile::data}) {
      if (const Io removed = folder_.remove_file(reading.segment.number, file); !removed) return removed;
    }
    return {};
  }
  const std::uint64_t number = reading.segment.number;
  const auto at = segments_.emplace(number, std::move(reading.segment)).first;
  bytes_ += at->second.bytes;
  damaged_records_ += reading.damaged.size();
  if (!reading.damaged.empty()) {
    Descriptor index;
    if (const Io opened = folder_.open_file(number, SegmentFile::index, O_RDWR, index); !opened) return opened;
    if (const Io erased = erase_notes(folder_.files(), index, reading.damaged); !erased) return erased;
  }
  for (std::size_t i = 0; i < at->second.slots.size(); ++i) {
    const Place now{number, i};
    const auto [place, fresh] = places_.try_emplace(at->second.slots[i].entry.key, now);
    if (fresh) continue;
    // It was replaced, and a loss of power has brought back the older one.
    const Place old = std::exchange(place->second, now);
    if (const Io erased = erase_slots(segments_.find(old.segment), std::array{old.slot}, false); !erased) return erased;
  }
  return at->second.live == 0 ? remove(at) : Io{};
}

void SegmentStore::tell_of_damage() {
  if (folder_.removed() > 0) {
    notes_.push_back("removed " + std::to_string(folder_.removed()) + " files of an older version's store");
  }
  if (damaged_records_ + lost_segments_ == 0) return;
  std::string what;
  if (damaged_records_ > 0) what = std::to_string(damaged_records_) + " blocks";
  if (lost_segments_ > 0) {
    if (!what.empty()) what += " and ";
    what += std::to_string(lost_segments_) + (lost_segments_ == 1 ? " segment" : " segments") + " (" + lost_why_ + ")";
  }
  notes_.push_back("threw away what was damaged: " + what + "; kept " + std::to_string(places_.size()) + " blocks");
}

}  // namespace headwater::cache
