#pragma once
// Why something did not work, for a program. Constants alone: may be used from any thread.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace headwater {

// The one table of codes. A name is stable, it is what clients and metrics see; a number is not. Beside it the HTTP
// status of an answer that says it.
// clang-format off
#define HEADWATER_ERROR_CODES(CODE) \
  /* of a request */ \
  CODE(invalid_request, 400) \
  CODE(invalid_json, 400) \
  CODE(unknown_parameter, 400) \
  CODE(unsupported_parameter, 400) \
  CODE(context_length_exceeded, 400) \
  CODE(bad_http, 400) \
  CODE(invalid_api_key, 401) \
  CODE(invalid_admin_key, 401) \
  CODE(foreign_origin, 403) \
  CODE(foreign_host, 403) \
  CODE(not_found, 404) \
  CODE(model_not_found, 404) \
  CODE(method_not_allowed, 405) \
  CODE(request_timeout, 408) \
  CODE(duplicate_id, 409) \
  CODE(session_busy, 409) \
  CODE(payload_too_large, 413) \
  CODE(unsupported_media_type, 415) \
  CODE(websocket_expected, 426) \
  CODE(overloaded, 429) \
  CODE(header_too_large, 431) \
  CODE(unsupported_transfer_encoding, 501) \
  CODE(draining, 503) \
  CODE(unavailable, 503) \
  CODE(too_many_connections, 503) \
  CODE(deadline_exceeded, 504) \
  /* of what serves it */ \
  CODE(stage_failed, 500) \
  CODE(computation_failed, 500) \
  CODE(cancelled, 500) \
  /* of the start */ \
  CODE(invalid_model, 500) \
  CODE(invalid_topology, 500) \
  CODE(invalid_options, 500) \
  CODE(invalid_file, 500) \
  CODE(invalid_listen, 500) \
  CODE(invalid_size, 500) \
  CODE(invalid_quant_policy, 500) \
  CODE(unknown_policy, 500) \
  CODE(duplicate_stage_kind, 500) \
  CODE(cache_too_small, 500) \
  CODE(start_failed, 500) \
  CODE(listen_failed, 500) \
  /* of the disk tier */ \
  CODE(store_failed, 500) \
  CODE(corrupt, 500) \
  CODE(record_mismatch, 500) \
  /* of the command's files and measurements */ \
  CODE(open_failed, 500) \
  CODE(read_failed, 500) \
  CODE(write_failed, 500) \
  CODE(too_large, 500) \
  CODE(too_many, 500) \
  CODE(too_short, 500) \
  CODE(unknown_format, 500) \
  CODE(invalid_csv, 500) \
  CODE(invalid_record, 500) \
  CODE(invalid_window, 500) \
  CODE(invalid_stride, 500) \
  CODE(no_records, 500) \
  CODE(no_questions, 500) \
  CODE(bad_logits, 500) \
  CODE(empty_trace, 500)
// clang-format on

#define HEADWATER_ENUMERATOR(code, status) code,
enum class ErrorCode : std::uint8_t { none, HEADWATER_ERROR_CODES(HEADWATER_ENUMERATOR) };
#undef HEADWATER_ENUMERATOR

struct ErrorCodeInfo {
  std::string_view name;
  unsigned status;
};

#define HEADWATER_INFO(code, status) {#code, status},
inline constexpr ErrorCodeInfo kErrorCodes[] = {{"", 500}, HEADWATER_ERROR_CODES(HEADWATER_INFO)};
#undef HEADWATER_INFO
#undef HEADWATER_ERROR_CODES

/// "context_length_exceeded"; none: "".
constexpr std::string_view name_of(ErrorCode code) { return kErrorCodes[static_cast<std::size_t>(code)].name; }
/// 500 for what no client is at fault for.
constexpr unsigned status_of(ErrorCode code) { return kErrorCodes[static_cast<std::size_t>(code)].status; }

}  // namespace headwater
