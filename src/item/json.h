#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "item/item.h"

namespace baleen::item {

/// The item as the tree that its JSON prints: section 5 of the reference (rows I-01..I-14). Lists, maps and computed
/// text are made in `arena`; the rest is shared with the item, which must outlive the tree.
Value as_value(const Item& item, Arena& arena);

/// One top-level member of that tree ("src", "request", "timestamp"), without making the others. Null when there is
/// none.
Value member(const Item& item, std::string_view name, Arena& arena);

/// "000000000042.pcap", "000000000042_udp.pcap", ... (reference row R-40). `out` has room for 32 bytes; returns the
/// length.
size_t write_stream_name(uint64_t stream, StreamKind kind, char* out);
std::string stream_name(const Item& item);

/// Appends `value` as JSON (RFC 8259) on one line. Text that is not UTF-8 is mended with U+FFFD; bytes print as base64.
void append_json(const Value& value, std::string& out);
/// Appends the item as JSON on one line.
void append_json(const Item& item, std::string& out);
/// The same, said to be of the recording `record` alone.
void append_json(const Item& item, std::string_view record, std::string& out);

/// Parses JSON text into `arena`; nothing when it is not JSON, or nests deeper than 64. Objects named "headers" or
/// "trailers" fold case, as in live items. The text may go away afterwards.
std::optional<Value> parse_json(std::string_view text, Arena& arena);

/// The members that a reader wants of a JSON text. Immutable: any thread.
class JsonFields {
 public:
  /// `paths`: "src.name", "request.headers[\"Host\"]": everything from the first bracket on is wanted.
  explicit JsonFields(std::span<const std::string> paths);

 private:
  friend class TreeBuilder;
  struct Node {
    std::string name;
    bool whole = false;  // with all that is below
    std::vector<Node> members;
  };
  Node root_;
};

/// The same as parse_json() for whom nothing else than `fields` matters: other members may be left out.
std::optional<Value> parse_json(std::string_view text, Arena& arena, const JsonFields& fields);

}  // namespace baleen::item
