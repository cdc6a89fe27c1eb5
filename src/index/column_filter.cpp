#include "index/column_filter.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/arena.h"
#include "item/row.h"
#include "kfl/fields.h"

// The filter itself gives the answer: it is asked about a record made of the columns, which has each field that it
// looks at just as the item's JSON has it. Which columns say the same as a field is the table below.

namespace baleen::index {

using item::Member;
using item::Protocol;
using item::Value;

namespace {

/// How a field of the JSON is made of its column.
enum class Form : uint8_t {
  kText,
  kTextOrMissing,  // no text: the field is not there
  kNumber,
  kTruth,
  kStatus,      // response.status as a number, for protocols whose card says so
  kStatusText,  // ... and as a text
};

}  // namespace

struct ColumnFilter::Field {
  const char *path, *column;
  Form form;
};

namespace {

constexpr const char* kOfProtocol[] = {"protocol.name", "protocol.version", "protocol.abbr", "protocol.macro"};

const Protocol* card_of(std::span<const Protocol* const> cards, std::string_view short_name,
                        std::string_view abbreviation, std::string_view version) {
  const auto found = std::find_if(cards.begin(), cards.end(), [&](const Protocol* card) {
    return item::short_name(*card) == short_name && card->abbreviation == abbreviation && card->version == version;
  });
  return found == cards.end() ? nullptr : *found;
}

const Protocol* card_of(std::span<const Protocol* const> cards, std::string_view short_name) {
  const auto found = std::find_if(cards.begin(), cards.end(),
                                  [&](const Protocol* card) { return item::short_name(*card) == short_name; });
  return found == cards.end() ? nullptr : *found;
}

enum class Status : uint8_t { kNumber, kText, kNone, kUnknown };

/// How columns hold response.status in items of a protocol.
Status status_of(const Protocol& card) {
  const auto field = std::find_if(card.fields.begin(), card.fields.end(),
                                  [](const item::Field& f) { return f.path == "response.status"; });
  if (field == card.fields.end()) return Status::kNone;
  if (card.status_path != "response.status") return Status::kUnknown;
  if (field->type == item::FieldType::kInt) return Status::kNumber;
  return field->type == item::FieldType::kString ? Status::kText : Status::kUnknown;
}

/// Grows a tree by a value at a path of two or three names, such as src.pod.metadata.name.
struct Node {
  std::string_view name;
  Value value;
  std::vector<Node> children;
  void put(std::string_view path, Value v) {
    const size_t dot = path.find('.');
    const std::string_view first = path.substr(0, dot);
    auto child = std::find_if(children.begin(), children.end(), [&](const Node& n) { return n.name == first; });
    if (child == children.end()) child = children.insert(children.end(), Node{first, {}, {}});
    if (dot == std::string_view::npos) {
      child->value = v;
    } else {
      child->put(path.substr(dot + 1), v);
    }
  }
  Value made(Arena& arena) const {
    if (children.empty()) return value;
    const auto members = arena.array<Member>(children.size());
    for (size_t i = 0; i < children.size(); ++i) members[i] = {children[i].name, children[i].made(arena)};
    return Value::map(members);
  }
};

std::optional<int64_t> number(const std::string& text) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(n) : std::nullopt;
}

std::optional<Value> value_of(Form form, const std::string& cell) {
  switch (form) {
    case Form::kTruth: return Value(cell == "true");
    case Form::kNumber:
    case Form::kStatus: {
      const auto n = number(cell);
      return n ? std::optional<Value>(*n) : std::nullopt;
    }
    default:
      if (cell.find('?') != std::string::npos) return std::nullopt;  // it may stand for what is no UTF-8
      return Value(std::string_view(cell));
  }
}

void put_protocol(Node& root, const Protocol& card) {
  root.put("protocol.name", card.name);
  root.put("protocol.version", card.version);
  root.put("protocol.abbr", card.abbreviation);
  root.put("protocol.macro", card.macro);
}

ColumnFilter::Answer answer_of(const kfl::Filter& filter, const Node& root) {
  Arena arena;
  return filter.matches_json(root.made(arena)) ? ColumnFilter::Answer::kYes : ColumnFilter::Answer::kNo;
}

}  // namespace

std::optional<ColumnFilter> ColumnFilter::of(const kfl::Filter& filter, std::span<const Protocol* const> cards) {
  static constexpr Field kKnown[] = {
      {"node.name", "node", Form::kText},
      {"src.ip", "src_ip", Form::kText},
      {"src.port", "src_port", Form::kText},
      {"src.name", "src_name", Form::kText},
      {"src.namespace", "src_namespace", Form::kText},
      {"src.pod.metadata.name", "src_pod", Form::kTextOrMissing},
      {"src.processName", "src_process", Form::kText},
      {"dst.ip", "dst_ip", Form::kText},
      {"dst.port", "dst_port", Form::kText},
      {"dst.name", "dst_name", Form::kText},
      {"dst.namespace", "dst_namespace", Form::kText},
      {"dst.pod.metadata.name", "dst_pod", Form::kTextOrMissing},
      {"dst.processName", "dst_process", Form::kText},
      {"elapsedTime", "elapsed_us", Form::kNumber},
      {"responseSize", "response_size", Form::kNumber},
      {"tls", "tls", Form::kTruth},
      {"response.status", "status", Form::kStatus},
      {"response.status", "status_text", Form::kStatusText},
  };
  const auto asked = kfl::fields_read(filter);
  if (!asked) return std::nullopt;
  ColumnFilter out(filter, cards);
  out.columns_ = {"protocol", "protocol_abbr", "protocol_version"};
  for (const std::string& path : *asked) {
    if (std::find(std::begin(kOfProtocol), std::end(kOfProtocol), path) != std::end(kOfProtocol)) {
      out.asks_for_card_ = out.asks_for_card_ || path == "protocol.version" || path == "protocol.abbr";
      continue;
    }
    const size_t known = out.fields_.size();
    for (const Field& field : kKnown) {
      if (path != field.path) continue;
      out.fields_.push_back(&field);
      out.columns_.emplace_back(field.column);
    }
    if (out.fields_.size() == known) return std::nullopt;
  }
  return out;
}

ColumnFilter ColumnFilter::for_protocols(const std::set<std::string>& protocols) const {
  ColumnFilter out(filter_, cards_);
  out.asks_for_card_ = asks_for_card_;
  out.by_name_ = !asks_for_card_;
  std::set<Status> statuses;
  for (const std::string& protocol : protocols) {
    const Protocol* first = nullptr;
    for (const Protocol* card : cards_) {
      if (item::short_name(*card) != protocol) continue;
      statuses.insert(status_of(*card));
      if (first == nullptr) first = card;
      if (card->name != first->name || card->macro != first->macro || status_of(*card) != status_of(*first))
        out.by_name_ = false;
    }
    if (first == nullptr) out.by_name_ = false;  // a version of ours to come has it
  }
  out.columns_ = {"protocol"};
  if (!out.by_name_) out.columns_ = {"protocol", "protocol_abbr", "protocol_version"};
  for (const Field* field : fields_) {
    if (field->form == Form::kStatus && !statuses.contains(Status::kNumber) && !statuses.contains(Status::kUnknown))
      continue;
    if (field->form == Form::kStatusText && !statuses.contains(Status::kText)) continue;
    out.fields_.push_back(field);
    out.columns_.emplace_back(field->column);
  }
  return out;
}

ColumnFilter::Answer ColumnFilter::matches(std::span<const std::optional<std::string>> cells) const {
  if (cells.size() != columns_.size()) return Answer::kUnknown;
  const auto text = [&](size_t i) { return cells[i] ? std::string_view(*cells[i]) : std::string_view(); };
  const Protocol* const card = by_name_ ? card_of(cards_, text(0)) : card_of(cards_, text(0), text(1), text(2));
  return card == nullptr ? Answer::kUnknown : matches(*card, cells.last(fields_.size()));
}

ColumnFilter::Answer ColumnFilter::matches(const Protocol& card,
                                           std::span<const std::optional<std::string>> cells) const {
  const Status status = status_of(card);
  Node root;
  put_protocol(root, card);
  bool empty_or_missing = false;
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Field& field = *fields_[i];
    const auto& cell = cells[i];
    switch (field.form) {
      case Form::kStatus:
        if (status == Status::kUnknown) return Answer::kUnknown;
        if (status != Status::kNumber || !cell) continue;
        break;
      case Form::kStatusText:
        if (status != Status::kText) continue;
        empty_or_missing = !cell || cell->empty();
        if (empty_or_missing) continue;
        break;
      case Form::kTextOrMissing:
        if (cell && cell->empty()) continue;
        break;
      default: break;
    }
    const auto value = cell ? value_of(field.form, *cell) : std::nullopt;
    if (!value) return Answer::kUnknown;
    root.put(field.path, *value);
  }
  const Answer answer = answer_of(filter_, root);
  if (!empty_or_missing) return answer;
  root.put("response.status", "");
  return answer_of(filter_, root) == answer ? answer : Answer::kUnknown;
}

ColumnFilter::Answer ColumnFilter::matches_all_of(std::string_view protocol) const {
  if (!fields_.empty()) return Answer::kUnknown;
  std::optional<Answer> out;
  for (const Protocol* card : cards_) {
    if (item::short_name(*card) != protocol) continue;
    Node root;
    put_protocol(root, *card);
    const Answer answer = answer_of(filter_, root);
    if (out && *out != answer) return Answer::kUnknown;
    out = answer;
  }
  return out.value_or(Answer::kUnknown);
}

}  // namespace baleen::index
