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

/// Columns that tell a row's protocol, and what they have to be enough to tell: those that are read fastest first.
constexpr std::string_view kName = "protocol", kAbbreviation = "protocol_abbr", kVersion = "protocol_version";
const std::vector<std::string_view> kTellers[] = {
    {kName}, {kAbbreviation}, {kName, kAbbreviation}, {kName, kAbbreviation, kVersion}};

std::string_view cell_of(const Protocol& card, std::string_view column) {
  if (column == kName) return item::short_name(card);
  return column == kAbbreviation ? card.abbreviation : card.version;
}

/// The first card that has these texts in the columns that tell the protocol.
template <class Cell>
const Protocol* card_of(std::span<const Protocol* const> cards, std::span<const std::string> columns,
                        const Cell& cell) {
  const auto found = std::find_if(cards.begin(), cards.end(), [&](const Protocol* card) {
    for (size_t i = 0; i < columns.size(); ++i)
      if (cell_of(*card, columns[i]) != cell(i)) return false;
    return true;
  });
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
  out.columns_.assign(std::rbegin(kTellers)->begin(), std::rbegin(kTellers)->end());
  for (const std::string& path : *asked) {
    if (std::find(std::begin(kOfProtocol), std::end(kOfProtocol), path) != std::end(kOfProtocol)) {
      out.asks_for_abbreviation_ = out.asks_for_abbreviation_ || path == "protocol.abbr";
      out.asks_for_version_ = out.asks_for_version_ || path == "protocol.version";
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

/// Whether the filter says the same of items of two cards that have the same columns otherwise.
bool ColumnFilter::same(const Protocol& a, const Protocol& b) const {
  return item::short_name(a) == item::short_name(b) && a.name == b.name && a.macro == b.macro &&
         status_of(a) == status_of(b) && (!asks_for_abbreviation_ || a.abbreviation == b.abbreviation) &&
         (!asks_for_version_ || a.version == b.version);
}

/// Whether cards that have the same texts in these columns are the same to the filter.
bool ColumnFilter::tell_apart(std::span<const std::string_view> columns, std::span<const Protocol* const> cards) const {
  const auto alike = [&](const Protocol& a, const Protocol& b) {
    return std::all_of(columns.begin(), columns.end(),
                       [&](std::string_view column) { return cell_of(a, column) == cell_of(b, column); });
  };
  for (const Protocol* a : cards)
    for (const Protocol* b : cards)
      if (alike(*a, *b) && !same(*a, *b)) return false;
  return true;
}

ColumnFilter ColumnFilter::for_protocols(const std::set<std::string>& protocols) const {
  ColumnFilter out(filter_, cards_);
  out.asks_for_abbreviation_ = asks_for_abbreviation_;
  out.asks_for_version_ = asks_for_version_;
  std::set<Status> statuses;
  std::vector<const Protocol*> present;
  std::set<std::string_view> known;
  for (const Protocol* card : cards_) {
    if (!protocols.contains(std::string(item::short_name(*card)))) continue;
    present.push_back(card);
    known.insert(item::short_name(*card));
    statuses.insert(status_of(*card));
  }
  const auto* teller = std::rbegin(kTellers).base() - 1;
  if (known.size() == protocols.size())  // otherwise a version of ours to come has one
    teller = std::find_if(std::begin(kTellers), teller, [&](const auto& all) { return tell_apart(all, present); });
  out.columns_.assign(teller->begin(), teller->end());
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
  const Protocol* const card = card_of(cards_, std::span(columns_).first(protocol_columns()), text);
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

std::string ColumnFilter::short_name(std::span<const std::string> cells) const {
  if (columns_.front() == kName) return cells.front();
  const Protocol* const card = card_of(cards_, std::span(columns_).first(cells.size()),
                                       [&](size_t i) -> const std::string& { return cells[i]; });
  return card == nullptr ? std::string() : std::string(item::short_name(*card));
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
