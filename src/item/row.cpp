#include "item/row.h"

#include <charconv>

#include "item/json.h"

namespace baleen::item {
namespace {

/// Takes "name" or "[3]" off the front of `path`, with the dot before it.
std::string_view take_step(std::string_view& path) {
  if (path.starts_with('.')) path.remove_prefix(1);
  const size_t end = path.starts_with('[') ? path.find(']') + 1 : std::min(path.find_first_of(".["), path.size());
  const std::string_view step = path.substr(0, end == 0 ? path.size() : end);
  path.remove_prefix(step.size());
  return step;
}

Value step_into(const Value& value, std::string_view step) {
  if (!step.starts_with('[')) return value[step];
  size_t index = 0;
  std::from_chars(step.data() + 1, step.data() + step.size(), index);
  const auto elements = value.elements();
  return index < elements.size() ? elements[index] : Value();
}

}  // namespace

Value at_path(const Item& item, std::string_view path) {
  if (path.empty()) return {};
  const std::string_view side = take_step(path);
  const Message* message = side == "request"    ? &item.request
                           : side == "response" ? &item.response
                           : side == "data"     ? &item.data
                                                : nullptr;
  if (message == nullptr || !message->present) return {};
  return at_path(message->payload, path);
}

Value at_path(const Value& root, std::string_view path) {
  Value value = root;
  while (!path.empty()) value = step_into(value, take_step(path));
  return value;
}

Row row_of(const Item& item) {
  if (item.protocol == nullptr) return {};
  // A message that goes either way (WebSocket) says the same of itself on the other side.
  const auto cell = [&item](std::string_view path) {
    const bool other_side = !item.request.present && item.response.present && path.starts_with("request.");
    return other_side ? at_path(item.response.payload, path.substr(8)) : at_path(item, path);
  };
  return {cell(item.protocol->method_path), cell(item.protocol->summary_path), cell(item.protocol->status_path)};
}

std::string display(const Value& value) {
  switch (value.type()) {
    case Value::Type::kNull: return {};
    case Value::Type::kString: return std::string(value.text());
    default: break;
  }
  std::string out;
  append_json(value, out);
  return out;
}

std::string_view error_of(const Item& item) {
  switch (item.outcome) {
    case Outcome::kPaired:
    case Outcome::kSingle: return {};
    case Outcome::kNoResponse: return "no response";
    case Outcome::kNoRequest: return "no request";
    case Outcome::kDissection: return "malformed";
    case Outcome::kConnection: return "connection failed";
    case Outcome::kTimeout: return "timeout";
  }
  return {};
}

}  // namespace baleen::item
