#pragma once
// Records on a disk, in files of its own (segment.h): appended one after the other, and given up in that order.
//
// Nothing that the disk does ends the process: every call of the system that fails becomes an Error, files are read and
// written and never mapped, and what is found as it opens is believed by checksums alone. A record is written without
// waiting for the disk: a loss of power costs the latest, never a wrong byte. What is erased is waited for.
//
// Of the files only the folder, its lock and the two of the segment being written are kept open.

#include <map>
#include <memory>
#include <optional>
#include <unordered_map>

#include "cache/tier/block_store.h"
#include "cache/tier/segment.h"

namespace headwater::cache {

struct SegmentStoreOptions {
  std::string path;              ///< a folder; the store has one of its own in it
  std::uint64_t size_limit = 0;  ///< bytes on the disk with all that belongs to it; kLeastStoreBytes at least
  FileSystem* files = nullptr;   ///< null: the system's. Outlives the store
};

inline constexpr std::uint64_t kLeastStoreBytes = 16 << 20;

class SegmentStore : public BlockStore {
 public:
  explicit SegmentStore(SegmentStoreOptions options);
  ~SegmentStore() override;

  /// What is damaged, or written by another version, is thrown away, and take_notes() says so. Errors: a folder that
  /// another process uses or that has files of something else in it; what the system says.
  Result<std::vector<TierEntry>> open() override;
  /// Where the disk is full, the oldest records make room as they do at the limit. Errors: a record that is no small
  /// part of the room there is; what the system says.
  Result<std::vector<Key>> put(const TierEntry& entry, std::span<const std::byte> head,
                               std::span<const std::byte> body) override;
  Result<bool> get(const Key& key, const Read& read) override;
  Result<void> erase(std::span<const Key> keys) override;
  Result<void> clear() override;
  std::vector<std::string> take_notes() override { return std::exchange(notes_, {}); }
  StoreState state() const override;
  std::string name() const override { return options_.path; }

  /// Bytes that records may take: of what the disk has and the limit lets, without the segment that is being emptied,
  /// and the indexes.
  std::uint64_t capacity() const;

 private:
  struct Place {
    std::uint64_t segment = 0;
    std::size_t slot = 0;
  };
  /// The segment that is written to.
  struct Active {
    std::uint64_t number = 0;
    Descriptor index, data;
  };
  using Segments = std::map<std::uint64_t, Segment>;  ///< by number: oldest first

  Error failure(const Io& io) const;
  void forget();
  Io read_all();
  Io take(SegmentReading&& reading);
  void tell_of_damage();

  std::uint64_t disk_bytes() const;
  void measure_room();
  Io make_room(std::uint64_t more, std::vector<Key>& dropped);
  Io drop_oldest_record(std::vector<Key>& dropped);
  bool drop_oldest_segment(std::vector<Key>& dropped);
  Io write(const TierEntry& entry, std::span<const std::byte> head, std::span<const std::byte> body);
  Io activate(std::uint64_t bytes);
  Io create_active();
  /// Erases records of a segment, so that no open() finds them, and the segment when none is left. `give_back`: their
  /// bytes too, where the disk can.
  Io erase_slots(Segments::iterator segment, std::span<const std::size_t> slots, bool give_back);
  Io remove(Segments::iterator segment);
  Io sync_erased();

  SegmentStoreOptions options_;
  StoreFolder folder_;
  Segments segments_;
  std::unordered_map<Key, Place, KeyHash> places_;  ///< of live records
  std::optional<Active> active_;
  std::uint64_t next_number_ = 1;
  std::uint64_t bytes_ = 0;  ///< of the segments
  std::uint64_t room_ = 0;   ///< on the disk, for all files
  bool folder_unsynced_ = false, said_full_ = false;
  std::vector<std::byte> buffer_;  ///< of get()

  // What open() has found.
  std::uint64_t damaged_records_ = 0, lost_segments_ = 0;
  std::string lost_why_;
  std::vector<std::string> notes_;
};

}  // namespace headwater::cache
