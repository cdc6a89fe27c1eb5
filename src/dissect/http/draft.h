#pragma once

#include "dissect/dissector.h"
#include "dissect/http/head.h"
#include "dissect/kept_text.h"

namespace baleen::dissect::http {

/// 1xx answers (RFC 9110 15.2) that came before the final one, latest first.
struct Interim {
  item::Value value;
  Interim* next;
};

/// A message in the making. On the stack while all of it is in hand, otherwise moved into its item's arena.
struct Draft {
  item::Item* item = nullptr;
  item::Member* members = nullptr;  // of the payload: room for kMembers
  uint8_t used = 0, body_size_at = 0;
  bool is_response = false;
  bool started = false;  // a final head was seen
  bool chunked = false;
  bool holed = false;  // bytes inside the body were lost: nothing after them is kept
  bool capped = false;
  bool maybe_graphql = false;  // a request that has to be looked at as a call of GraphQL
  const char* error = nullptr;
  std::string_view content_type, content_encoding, transfer_encoding;
  KeptText text;           // the body as far as it is kept, without chunk framing
  uint64_t body_size = 0;  // of the body without chunk framing, kept or not
  uint64_t wire_size = 0;  // of the message
  Timestamp time{};
  std::string_view trailers;   // field lines
  item::Value trailer_fields;  // the same, where they do not come as lines
  Interim* interim = nullptr;

  static constexpr size_t kMembers = 20;
  void add(std::string_view name, item::Value value) { new (members + used++) item::Member{name, value}; }
  /// Several at once.
  template <size_t kCount>
  void add_all(const item::Member (&more)[kCount]) {
    item::Member* at = members + used;
    for (const item::Member& member : more) new (at++) item::Member(member);
    used = static_cast<uint8_t>(used + kCount);
  }
  Arena& arena() const { return item->arena; }

  /// Keeps the next bytes of the body, up to `cap` in all. `due`: how many are announced, these included; `most`: no
  /// more than so many can come.
  void keep(Bytes bytes, uint64_t due, uint64_t most, size_t cap);
};

/// An item that was answered before its request's head was whole; in that item's arena.
struct Early {
  item::Item* item = nullptr;
  std::string_view lines;  // of the head, as far as they had come by then: whole ones, or the beginning of the first
  uint64_t wire_size = 0;
  size_t seen = 0;   // bytes of the head that were there when the answer began
  Timestamp time{};  // when they came; before that, when the answer did
};

/// What stands in Item::match_key while an HTTP item is in the making.
enum Mark : uint64_t { kRequestDone = 1, kResponseDone = 2, kHeadMethod = 4, kConnect = 8, kUpgrade = 16 };

/// The payload of a request or response, as far as its head gives it (reference row I-20).
void start_request(Draft& draft, const RequestLine& line, const Fields& fields, std::string_view head);
void start_response(Draft& draft, const StatusLine& line, const Fields& fields, std::string_view head);
/// Adds what only the whole message gives: sizes, postData or content, trailers; puts the payload into the item.
void finish_payload(Draft& draft, Output& out);

}  // namespace baleen::dissect::http
