#pragma once
// Whose blocks are cached: names become small numbers while their owner holds a block, with what each holds.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace headwater::cache {

/// A tenant that holds indexed blocks; the number is used again once it holds none.
using TenantId = std::uint32_t;

struct Tenant {
  std::string name;
  std::string digest;                              ///< tenant_digest(name)
  std::uint64_t blocks = 0;                        ///< indexed
  std::uint64_t cached = 0;                        ///< of them, used by no request
  std::uint64_t pinned = 0;                        ///< of them, in use or not
  std::uint64_t query_tokens = 0, hit_tokens = 0;  ///< looked up and found since it has held blocks
};

class Tenants {
 public:
  /// One block more.
  TenantId hold(std::string_view name);
  /// One block less.
  void let_go(TenantId id);
  void clear();

  Tenant& at(TenantId id) { return tenants_.at(id); }
  const Tenant& at(TenantId id) const { return tenants_.at(id); }
  /// nullptr: holds no block.
  Tenant* find(std::string_view name);
  /// Those that hold blocks.
  std::vector<const Tenant*> all() const;

 private:
  std::unordered_map<std::string, TenantId> ids_;
  std::vector<Tenant> tenants_;
  std::vector<TenantId> unused_;
};

/// What a tenant is called in reports: 12 hexadecimal digits of a SHA-256; empty for the one without a name. The name
/// cannot be told from it.
std::string tenant_digest(std::string_view name);

}  // namespace headwater::cache
