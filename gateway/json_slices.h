#pragma once
// Parts of a JSON text as they stand in it: with keys in the order in which they were sent, which the parsed object
// does not keep, and models' templates write out.
//
// Threading: functions without state.

#include <string_view>
#include <vector>

namespace headwater::gateway {

// REQUIRES: `text` is JSON. In one pass over it.

/// The value of the last member of this name of an object; empty: there is none, or the text is no object's.
std::string_view json_member(std::string_view text, std::string_view name);
/// The values of a list; none where the text is no list's.
std::vector<std::string_view> json_elements(std::string_view text);

}  // namespace headwater::gateway
