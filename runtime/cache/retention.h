#pragma once
// How long indexed blocks are to be kept: until when, how much they matter, who pinned them, and whose they are. No
// clock: time is passed in, and never goes back.
//
// Whatever a request wants of a block it wants of all before it in the chain, so that a block is never kept for a
// shorter time, or at a lower priority, or less pinned, than those below it.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "cache/expiry_queue.h"
#include "cache/tenants.h"
#include "headwater/cache_control.h"

namespace headwater::cache {

struct RetentionOptions {
  TimeNs ttl = kNever;           ///< how long an idle block is kept where no request says
  std::uint32_t max_pinned = 0;  ///< blocks
  /// Blocks that one tenant may pin, and that its idle ones may be before they go first (see Evictor).
  std::uint32_t tenant_quota = std::numeric_limits<std::uint32_t>::max();
};

/// How a request wants the blocks kept that it uses.
struct Keep {
  std::string tenant;
  std::uint8_t priority = kNormalPriority;
  std::optional<TimeNs> ttl;  ///< since the last use; none: RetentionOptions::ttl
  TimeNs pin = 0;             ///< for how long they are pinned when the request ends; 0: not
  std::string session;        ///< its pins replace those of the tenant's last request with this name; empty: none
};

/// Blocks that are pinned since, and those that are no longer.
struct PinChange {
  std::vector<BlockId> pinned, unpinned;
};

class Retention {
 public:
  Retention(RetentionOptions options, std::uint32_t total_blocks);

  // ---- what happens to indexed blocks ----

  /// A block is indexed, and in use. `parent`: -1, or indexed.
  void add(BlockId block, BlockId parent, const Keep& keep);
  /// A request uses the block: the longest time and the highest priority count. True: the priority has risen.
  bool use(BlockId block, const Keep& keep);
  void set_idle(BlockId block, TimeNs now);
  void set_busy(BlockId block);
  void remove(BlockId block);
  void clear();

  // ---- pins ----

  /// Pins `leaf` and all before it, or as many from the first on as the limits leave. `session`: empty, or the pin
  /// replaces that of the same name; a name is unique to its tenant where the caller makes it so.
  /// `by_request`: not by an operator, whose pin counts where both have one.
  PinChange pin(const std::string& session, BlockId leaf, TimeNs until, bool by_request = false);
  /// Ends the pin without a name that ends with this block.
  PinChange unpin(BlockId leaf);
  /// Where the pins without a name end that requests have made.
  std::vector<BlockId> request_pins() const;
  PinChange unpin_session(const std::string& session);
  /// Ends the pins whose time is over.
  PinChange end_pins(TimeNs now);

  // ---- what follows from it ----

  /// An idle block whose time is over: those below it come first.
  std::optional<BlockId> expired(TimeNs now) const;
  /// When something expires next; kNever: nothing does.
  TimeNs next_expiry() const;

  bool pinned(BlockId block) const { return at(block).pins > 0; }
  /// Whether its tenant has more idle blocks than its quota.
  bool over_quota(BlockId block) const { return tenants_.at(at(block).tenant).cached > options_.tenant_quota; }
  std::uint8_t priority(BlockId block) const { return at(block).priority; }
  TenantId tenant(BlockId block) const { return at(block).tenant; }
  /// When the block expires if nobody uses it from now on, pins aside. REQUIRES: it is idle.
  TimeNs expires(BlockId block) const {
    const Kept& kept = at(block);
    return kept.ttl >= kNever - kept.idle_since ? kNever : kept.idle_since + kept.ttl;
  }
  TimeNs idle_since(BlockId block) const { return at(block).idle_since; }  ///< REQUIRES: it is idle
  std::uint32_t pinned_blocks() const { return pinned_; }
  std::size_t pins() const { return pins_.size(); }
  Tenants& tenants() { return tenants_; }
  const Tenants& tenants() const { return tenants_; }
  const RetentionOptions& options() const { return options_; }

 private:
  struct Kept {
    TimeNs idle_since = 0;
    TimeNs ttl = kNever;
    BlockId parent = -1;
    std::uint32_t depth = 0;
    TenantId tenant = 0;
    std::uint32_t pins = 0;  ///< that it is part of
    std::uint8_t priority = 0;
    bool idle = false;
  };
  /// A pin without a session is known by its last block.
  using PinName = std::pair<std::string, BlockId>;
  struct Pin {
    BlockId leaf = -1;
    TimeNs until = 0;
    bool by_request = false;
  };

  Kept& at(BlockId block) { return kept_[static_cast<std::size_t>(block)]; }
  const Kept& at(BlockId block) const { return kept_[static_cast<std::size_t>(block)]; }
  void schedule_expiry(BlockId block);
  std::vector<BlockId> chain(BlockId leaf) const;
  void add_pin(BlockId block);
  void drop_pin(BlockId block);
  std::vector<BlockId> take_pin(const PinName& name);
  PinChange end_pin(const PinName& name);
  std::uint32_t room(const Tenant& tenant) const;

  RetentionOptions options_;
  std::vector<Kept> kept_;
  ExpiryQueue expiry_;
  Tenants tenants_;
  std::map<PinName, Pin> pins_;
  std::set<std::pair<TimeNs, PinName>> pin_ends_;
  std::uint32_t pinned_ = 0;
};

}  // namespace headwater::cache
