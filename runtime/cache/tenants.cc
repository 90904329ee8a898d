#include "cache/tenants.h"

#include "cache/key.h"

namespace headwater::cache {

TenantId Tenants::hold(std::string_view name) {
  const auto [entry, is_new] = ids_.try_emplace(std::string(name), 0);
  if (is_new && unused_.empty()) {
    entry->second = static_cast<TenantId>(tenants_.size());
    tenants_.emplace_back();
  } else if (is_new) {
    entry->second = unused_.back();
    unused_.pop_back();
  }
  Tenant& tenant = tenants_[entry->second];
  if (is_new) tenant = {.name = entry->first, .digest = tenant_digest(name)};
  ++tenant.blocks;
  return entry->second;
}

void Tenants::let_go(TenantId id) {
  Tenant& tenant = tenants_.at(id);
  if (--tenant.blocks > 0) return;
  ids_.erase(tenant.name);
  tenant = {};
  unused_.push_back(id);
}

void Tenants::clear() {
  ids_.clear();
  tenants_.clear();
  unused_.clear();
}

Tenant* Tenants::find(std::string_view name) {
  const auto found = ids_.find(std::string(name));
  return found == ids_.end() ? nullptr : &tenants_[found->second];
}

std::vector<const Tenant*> Tenants::all() const {
  std::vector<const Tenant*> all;
  for (const auto& [name, id] : ids_) all.push_back(&tenants_[id]);
  return all;
}

std::string tenant_digest(std::string_view name) {
  if (name.empty()) return "";
  constexpr char kDigits[] = "0123456789abcdef";
  const Key key = root_key({}, name, "");
  std::string digest;
  for (std::size_t i = 0; i < 6; ++i) digest += {kDigits[key[i] >> 4U], kDigits[key[i] & 15U]};
  return digest;
}

}  // namespace headwater::cache
