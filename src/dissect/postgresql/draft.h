#pragma once

#include <array>
#include <string_view>

#include "dissect/dissector.h"

namespace baleen::dissect::postgresql {

constexpr uint32_t kMaxRows = 20;  // shown per item
constexpr uint32_t kMaxNotices = 8;
constexpr uint32_t kMaxOptions = 32;
constexpr size_t kMaxKey = 256;  // bytes of a cancel key (protocol-message-formats, BackendKeyData)
constexpr uint32_t kSslRequest = 80877103, kGssRequest = 80877104, kCancelRequest = 80877102;

/// The kinds of messages that a client or a server sends.
constexpr std::array<bool, 256> types_of(std::string_view letters) {
  std::array<bool, 256> is{};
  for (const char c : letters) is[static_cast<uint8_t>(c)] = true;
  return is;
}
inline constexpr std::array<bool, 256> kFrontendTypes = types_of("QPBDECSHFdcfpX");
inline constexpr std::array<bool, 256> kBackendTypes = types_of("RSKZTDCIs123ntENAGHWdcVv");
inline bool frontend_type(char t) { return kFrontendTypes[static_cast<uint8_t>(t)]; }
inline bool backend_type(char t) { return kBackendTypes[static_cast<uint8_t>(t)]; }

/// What is known of an item while it waits. Lives in the item's arena, found through Item::match_key.
struct Draft {
  char kind;         // of the message that names it: Q E P B D C F, 0 start-up, s SSL, g GSS, r answer alone
  char closing = 0;  // the answer that ends it: C (also I and s), Z, 1, 2, T (also n), 3, V
  char ops[8] = {};  // messages in order
  uint8_t op_count = 0;
  uint16_t syncs = 0;  // that follow it
  bool failed = false, suspended = false, truncated = false, authenticated = false;
  char transaction = 0;
  uint32_t completions = 0;
  uint32_t row_count = 0, rows_kept = 0, notice_count = 0, tag_count = 0, parameter_count = 0;
  int32_t max_rows = 0, process_id = 0;
  uint32_t version = 0, negotiated = 0;  // of the protocol, major and minor; 0: not said
  size_t budget = 0;                     // bytes of content that may still be kept
  std::string_view query, statement, portal, tag;
  std::string_view authentication;
  item::Value parameters, password, columns, error, accepted, secret_key, unsupported;
  uint64_t copy_in = 0, copy_out = 0;
  item::Value* rows = nullptr;
  item::Value* notices = nullptr;
  item::Value* tags = nullptr;
  item::Member* settings = nullptr;

  void op(char type) {
    if (op_count < sizeof ops) ops[op_count++] = type;
  }
};

Draft& draft(item::Item* item);
/// A copy within the item's budget.
std::string_view keep(item::Item* item, std::string_view text);
item::Value keep_value(item::Item* item, std::string_view text);
/// A C string, or what there is of it when the message was cut.
std::string_view c_string(ByteReader& r);

item::Value request_payload(item::Item* item, std::string_view user, std::string_view database);
item::Value response_payload(item::Item* item);
/// The fields of an error or notice (https://www.postgresql.org/docs/current/protocol-error-fields.html).
item::Value error_fields(Bytes body, Arena& arena);
std::string_view authentication_name(uint32_t code);
/// "3.2" of 0x30002.
std::string_view version_text(uint32_t version, Arena& arena);
/// What allows to cancel: a number where it has four bytes, as up to protocol 3.0, else bytes, of which 3.2 allows 256.
item::Value cancel_key(Bytes key, Arena& arena);
/// NegotiateProtocolVersion: the version that the server speaks, and options that it does not know.
void read_negotiation(item::Item* item, Bytes body);
void read_columns(item::Item* item, Bytes body);
void read_row(item::Item* item, Bytes body);
/// What a Bind says behind the names of its portal and statement.
void read_bind(item::Item* item, ByteReader& r);

}  // namespace baleen::dissect::postgresql
