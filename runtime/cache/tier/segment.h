#pragma once
// A segment of the disk tier: a file of records, one behind the other, and an index of notes on them.
//
//   index: header [128] | note [128] … one for each record, in their order
//   data:  record | record | …
//
// A record is there once its note is written, which is the last thing that is. A note of zeros is none any more: so a
// record is erased by one small write in place, and damage to a note costs that record alone. Header and notes carry an
// XXH64 of themselves; what proves a record is in the record (record.h).

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cache/tier/store_folder.h"
#include "cache/tier_block.h"

namespace headwater::cache {

inline constexpr std::uint32_t kSegmentVersion = 1;
inline constexpr std::uint32_t kMostNotes = 1 << 16;   ///< of a segment
inline constexpr std::uint64_t kMostRecord = 1 << 28;  ///< bytes

/// For messages.
inline std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

/// A record in a segment.
struct Slot {
  TierEntry entry{};
  std::uint64_t offset = 0, bytes = 0;  ///< in the data
  std::uint32_t note = 0;               ///< its place in the index
  bool live = true;                     ///< not erased, nor replaced
};

/// What is known of a segment.
struct Segment {
  std::uint64_t number = 0;
  std::vector<Slot> slots;       ///< oldest first
  std::size_t first = 0;         ///< of those that were not given up for want of room
  std::uint32_t live = 0;        ///< slots that are
  std::uint32_t notes = 0;       ///< places taken in the index
  std::uint64_t data_bytes = 0;  ///< of the file
  std::uint64_t bytes = 0;       ///< of these, what was not given up
  bool unsynced = false;         ///< a note was erased, and a loss of power may bring it back

  /// At most, on the disk.
  std::uint64_t disk_bytes() const;
};

/// Makes the two files. Error: neither is there then, as far as can be.
Io create_segment(const StoreFolder& folder, std::uint64_t number, Descriptor& index, Descriptor& data);

struct SegmentReading {
  Segment segment;
  std::vector<std::uint32_t> damaged;  ///< notes that do not agree, or whose record is not all there
  std::string lost;                    ///< not empty: the segment cannot be used, for this reason
};
/// Reads the index. Error: the device or the process is in trouble, which says nothing about the segment.
Io read_segment(const StoreFolder& folder, std::uint64_t number, SegmentReading& to);

Io write_note(FileSystem& files, const Descriptor& index, std::uint64_t number, const Slot& slot);
Io erase_notes(FileSystem& files, const Descriptor& index, std::span<const std::uint32_t> notes);

}  // namespace headwater::cache
