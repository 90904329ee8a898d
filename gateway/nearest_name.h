#pragma once
// "did you mean": the known name that a mistyped one is probably meant to be.

#include <span>
#include <string>
#include <string_view>

namespace headwater::gateway {

/// The nearest of `known` by edit distance, or nothing where none is near enough to be meant.
std::string_view nearest_name(std::string_view name, std::span<const std::string> known);

}  // namespace headwater::gateway
