#include "cache/tier/segment.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cache/tier/checksum.h"

namespace headwater::cache {
namespace {

constexpr std::size_t kEntryBytes = 128;
constexpr std::uint64_t kDiskBlock = 4096;
using Entry = std::array<std::byte, kEntryBytes>;

struct Header {
  std::uint64_t checksum = 0;
  char magic[8] = {'H', 'W', 'K', 'V', 'S', 'E', 'G', '\n'};
  std::uint32_t version = kSegmentVersion;
  std::uint32_t zero = 0;
  std::uint64_t number = 0;
  std::byte rest[96] = {};
};
static_assert(sizeof(Header) == kEntryBytes);

struct Note {
  std::uint64_t checksum = 0;
  std::uint64_t offset = 0, bytes = 0;
  std::int64_t expires = 0;
  Key key{};
  TenantMark tenant{};
  std::uint32_t zero = 0;
  std::byte rest[48] = {};
};
static_assert(sizeof(Note) == kEntryBytes);

/// Of all that follows it. The segment's number makes a note of one segment none in another.
std::uint64_t sum_of(const Entry& entry, std::uint64_t number) {
  return xxh64(std::span(entry).subspan(sizeof(std::uint64_t)), number);
}

template <class Struct>
Entry entry_of(const Struct& what, std::uint64_t number) {
  Entry entry;
  std::memcpy(entry.data(), &what, kEntryBytes);
  const std::uint64_t sum = sum_of(entry, number);
  std::memcpy(entry.data(), &sum, sizeof sum);
  return entry;
}

template <class Struct>
bool read_entry(const Entry& entry, std::uint64_t number, Struct& to) {
  std::memcpy(&to, entry.data(), kEntryBytes);
  return to.checksum == sum_of(entry, number);
}

std::uint64_t round_up(std::uint64_t bytes) { return (bytes + kDiskBlock - 1) / kDiskBlock * kDiskBlock; }
off_t place_of(std::uint32_t note) { return static_cast<off_t>((std::uint64_t{note} + 1) * kEntryBytes); }

/// Why the header does not let the segment be used; empty: it does.
std::string check_header(const Entry& entry, std::uint64_t number) {
  Header header;
  const bool whole = read_entry(entry, number, header);
  if (std::memcmp(header.magic, Header().magic, sizeof header.magic) != 0) return "its index is damaged";
  if (header.version != kSegmentVersion) return "it was written by another version";
  return whole && header.number == number ? "" : "its index is damaged";
}

void read_notes(std::span<const std::byte> index, SegmentReading& to) {
  Segment& segment = to.segment;
  for (std::uint32_t i = 0; (std::size_t{i} + 2) * kEntryBytes <= index.size(); ++i) {
    Entry entry;
    std::memcpy(entry.data(), index.data() + place_of(i), kEntryBytes);
    if (entry == Entry{}) continue;
    Note note;
    if (!read_entry(entry, segment.number, note) || note.bytes > kMostRecord || note.offset > segment.data_bytes ||
        note.bytes > segment.data_bytes - note.offset) {
      to.damaged.push_back(i);
      continue;
    }
    segment.slots.push_back({{note.key, {note.tenant, note.expires}}, note.offset, note.bytes, i, true});
  }
  segment.live = static_cast<std::uint32_t>(segment.slots.size());
  segment.bytes = segment.live == 0 ? 0 : segment.data_bytes - std::min(segment.data_bytes, segment.slots[0].offset);
}

/// Opens one of the files; `lost` says that it is not there.
Io open_existing(const StoreFolder& folder, std::uint64_t number, SegmentFile file, Descriptor& to, struct stat& state,
                 std::string& lost) {
  if (const Io opened = folder.open_file(number, file, O_RDONLY, to); !opened) {
    if (opened.error != ENOENT) return opened;
    lost = file == SegmentFile::index ? "its index is missing" : "its data is missing";
    return {};
  }
  return folder.files().stat(to.get(), &state) == 0 ? Io{} : Io{errno, "look at a file"};
}

}  // namespace

std::uint64_t Segment::disk_bytes() const {
  return round_up(data_bytes) + round_up((std::uint64_t{notes} + 1) * kEntryBytes);
}

Io create_segment(const StoreFolder& folder, std::uint64_t number, Descriptor& index, Descriptor& data) {
  Io made = folder.open_file(number, SegmentFile::index, O_RDWR | O_CREAT | O_EXCL, index);
  if (!made) return made;
  made = folder.open_file(number, SegmentFile::data, O_RDWR | O_CREAT | O_EXCL, data);
  if (made) {
    Header header;
    header.number = number;
    made = write_all(folder.files(), index.get(), entry_of(header, number), 0);
  }
  if (made) return made;
  index = Descriptor();
  data = Descriptor();
  (void)folder.remove_file(number, SegmentFile::index);
  (void)folder.remove_file(number, SegmentFile::data);
  return made;
}

Io read_segment(const StoreFolder& folder, std::uint64_t number, SegmentReading& to) {
  to.segment.number = number;
  Descriptor index, data;
  struct stat index_state {
  }, data_state{};
  if (const Io opened = open_existing(folder, number, SegmentFile::index, index, index_state, to.lost); !opened) {
    return opened;
  }
  if (!to.lost.empty()) return {};
  if (const Io opened = open_existing(folder, number, SegmentFile::data, data, data_state, to.lost); !opened) {
    return opened;
  }
  if (!to.lost.empty()) return {};
  const auto size = static_cast<std::uint64_t>(index_state.st_size);
  if (size < kEntryBytes || size > (std::uint64_t{kMostNotes} + 1) * kEntryBytes) {
    to.lost = "its index has an impossible size";
    return {};
  }
  std::vector<std::byte> bytes(size);
  std::size_t got = 0;
  const Io read = read_some(folder.files(), index.get(), bytes, 0, got);
  if (read.error == EIO) to.lost = "its index cannot be read";  // a bad place on the disk stays one
  if (!to.lost.empty()) return {};
  if (!read) return read;
  bytes.resize(got);
  Entry header{};
  std::copy_n(bytes.begin(), std::min(got, kEntryBytes), header.begin());
  to.lost = check_header(header, number);
  if (!to.lost.empty()) return {};
  to.segment.data_bytes = static_cast<std::uint64_t>(data_state.st_size);
  to.segment.notes = static_cast<std::uint32_t>((size + kEntryBytes - 1) / kEntryBytes) - 1;
  read_notes(bytes, to);
  return {};
}

Io write_note(FileSystem& files, const Descriptor& index, std::uint64_t number, const Slot& slot) {
  Note note;
  note.offset = slot.offset;
  note.bytes = slot.bytes;
  note.expires = slot.entry.terms.expires;
  note.key = slot.entry.key;
  note.tenant = slot.entry.terms.tenant;
  return write_all(files, index.get(), entry_of(note, number), place_of(slot.note));
}

Io erase_notes(FileSystem& files, const Descriptor& index, std::span<const std::uint32_t> notes) {
  for (const std::uint32_t note : notes) {
    if (const Io erased = write_all(files, index.get(), Entry{}, place_of(note)); !erased) return erased;
  }
  return {};
}

}  // namespace headwater::cache
