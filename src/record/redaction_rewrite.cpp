#include <algorithm>

#include "codec/base64.h"
#include "item/json.h"
#include "record/redaction_findings.h"

namespace baleen::record {
namespace {

using item::Member;
using item::Value;

/// Writes an item's tree anew, without its secrets.
class Rewriter {
 public:
  Rewriter(const SecretFinder& finder, const Redaction& redaction, RuleCounts& counts, Arena& arena)
      : finder_(finder), redaction_(redaction), counts_(counts), arena_(arena) {}

  std::string text(std::string_view t) {
    std::vector<Range> ranges = finder_.find(t);
    redaction_.match(t, ranges);
    merge(ranges);
    if (ranges.empty() && t.size() >= kLeastBase64) {
      Arena scratch;
      if (const auto bytes = codec::from_base64(t, scratch); bytes && finder_.stands_in(as_text(*bytes)))
        ranges.push_back({0, t.size(), 0});
    }
    std::string out;
    size_t at = 0;
    for (const Range& r : ranges) {
      out += t.substr(at, r.begin - at);
      out += kRedacted;
      at = r.end;
      count(r.rule);
    }
    if (at == 0) return std::string(t);
    out += t.substr(at);
    return out;
  }
  void count(uint16_t rule) {
    ++counts_[redaction_.name_of(rule)];
    changed_ = true;
  }
  bool changed() const { return changed_; }

  Value value(const Value& v, const std::unordered_set<const Value*>& whole,
              const std::map<const Value*, uint16_t>& rules) {
    if (whole.contains(&v)) {
      count(rules.at(&v));
      return kRedacted;
    }
    if (v.is_list()) {
      const auto elements = arena_.array<Value>(v.size());
      for (size_t i = 0; i < elements.size(); ++i) elements[i] = value(v.elements()[i], whole, rules);
      return Value::list(elements);
    }
    if (v.is_map()) {
      const auto members = arena_.array<Member>(v.size());
      for (size_t i = 0; i < members.size(); ++i)
        members[i] = {arena_.copy(text(v.members()[i].name)), value(v.members()[i].value, whole, rules)};
      return Value::map(members, v.folds_case());
    }
    if (!is_text(v)) return v;
    const std::string_view kept = arena_.copy(text(v.text()));
    return v.is_string() ? Value(kept) : Value::bytes(as_bytes(kept));
  }

 private:
  const SecretFinder& finder_;
  const Redaction& redaction_;
  RuleCounts& counts_;
  Arena& arena_;
  bool changed_ = false;
};

}  // namespace

bool Redaction::redact(const item::Item& item, index::ItemRow& out, RuleCounts& counts,
                       std::string_view recording) const {
  Arena arena;
  Value root = item::as_value(item, arena);
  if (!recording.empty()) {
    const auto members = arena.array<Member>(root.size() + 1);
    size_t n = 0;
    for (const Member& m : root.members())
      if (m.name != "record") members[n++] = m;
    members[n++] = {"record", Value(recording)};
    root = Value::map(members.first(n));
  }
  Findings findings;
  collect(item, root, findings, arena);
  std::stable_sort(findings.secrets.begin(), findings.secrets.end(),
                   [](const Secret& a, const Secret& b) { return a.text.size() > b.text.size(); });
  const SecretFinder finder(findings.secrets);
  Rewriter rewriter(finder, *this, counts, arena);
  Value kept = rewriter.value(root, findings.whole, findings.rules);
  if (findings.too_many) {  // what is not known is not kept
    const auto members = arena.array<Member>(kept.size());
    for (size_t i = 0; i < members.size(); ++i) {
      members[i] = kept.members()[i];
      if (members[i].name == "request" || members[i].name == "response" || members[i].name == "data")
        members[i].value = kRedacted;
    }
    kept = Value::map(members);
    rewriter.count(0);
  }
  out = index::row_from(item, recording);
  out.json.clear();
  item::append_json(kept, out.json);
  RuleCounts columns;  // the same secrets once more
  Rewriter again(finder, *this, columns, arena);
  for (std::string* column : {&out.method, &out.path, &out.host, &out.status_text, &out.error})
    *column = findings.too_many ? std::string() : again.text(*column);
  // A column may show a value that is no text elsewhere.
  for (const Value* v : findings.whole) {
    const std::string shown = v->is_number() ? std::to_string(v->as_int()) : std::string();
    for (std::string* column : {&out.method, &out.path, &out.status_text})
      if (!shown.empty() && *column == shown) *column = kRedacted;
  }
  return rewriter.changed() || !columns.empty();
}

}  // namespace baleen::record
