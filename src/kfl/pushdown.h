#pragma once

#include <string>
#include <vector>

#include "kfl/kfl.h"

namespace baleen::kfl {

/// What a column of a recording can be asked.
struct Conjunct {
  enum class Op : uint8_t { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kPrefix, kIn, kContains };
  std::string column;  // a path of the item's JSON: "timestamp", "protocol.abbr", "dst.namespace", "response.status"
  Op op = Op::kEqual;
  item::Value::Type type = item::Value::Type::kString;  // which of the two below
  std::string text;
  double number = 0;
  std::vector<std::string> any_of;  // kIn: one of these texts
};

/// Conditions that hold for every item that the filter matches: a store may drop what breaks one of them before the
/// filter itself looks at the rest. There may be none. Texts are compared byte by byte. A comparison with a number says
/// nothing of items in which the column is a text (response.status is one in some protocols): v1 compares these, too,
/// in a way of its own. Columns: timestamp
/// (milliseconds), protocol.abbr, protocol.name, src./dst. namespace, name, ip, pod.metadata.name,
/// service.metadata.name, request.method, request.path, response.status, elapsedTime, requestSize, responseSize,
/// node.name, record.
std::vector<Conjunct> pushdown(const Filter& filter);

/// "response.status >= 500".
std::string to_string(const Conjunct& conjunct);

}  // namespace baleen::kfl
