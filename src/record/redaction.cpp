#include "record/redaction.h"

#include <fmt/core.h>

#include <algorithm>

#include "item/json.h"
#include "record/redaction_findings.h"

namespace baleen::record {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> out;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    out.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

/// What the expression's first group, or all of it, matches.
void each_match(const re2::RE2& expression, std::string_view text, const std::function<void(size_t, size_t)>& each) {
  re2::StringPiece groups[2];
  const int wanted = expression.NumberOfCapturingGroups() > 0 ? 2 : 1;
  for (size_t at = 0; at <= text.size();) {
    if (!expression.Match(re2::StringPiece(text.data(), text.size()), at, text.size(), re2::RE2::UNANCHORED, groups,
                          wanted))
      return;
    const re2::StringPiece& hit = wanted == 2 && groups[1].data() != nullptr ? groups[1] : groups[0];
    const auto begin = static_cast<size_t>(hit.data() - text.data());
    if (!hit.empty()) each(begin, begin + hit.size());
    const auto next = static_cast<size_t>(groups[0].data() - text.data()) + groups[0].size();
    at = std::max(next, at + 1);
  }
}

Redaction::Redaction() : compiled_(std::make_unique<Compiled>()) {}
Redaction::~Redaction() = default;

Result<std::shared_ptr<const Redaction>> Redaction::compile(const RedactionRules& rules, const kfl::Options& options) {
  std::shared_ptr<Redaction> out(new Redaction);
  out->rules_ = rules;
  const auto named = [&](std::string name) {
    out->names_.push_back(std::move(name));
    return static_cast<uint16_t>(out->names_.size() - 1);
  };
  named("secrets");
  for (const std::string& h : rules.headers) out->compiled_->headers.push_back({h, named("headers: " + h)});
  for (const std::string& path : rules.json) {
    std::string flat = path;
    for (const std::string_view cut : {".json()"})
      for (size_t at; (at = flat.find(cut)) != std::string::npos;) flat.erase(at, cut.size());
    std::replace(flat.begin(), flat.end(), '[', '.');
    std::erase(flat, ']');
    auto steps = split(flat, '.');
    if (std::find(steps.begin(), steps.end(), "") != steps.end())
      return Error{Code::kInvalid, fmt::format("redact.json: '{}' is no path, as request.body.user.password", path)};
    if (steps.front() != "request" && steps.front() != "response" && steps.front() != "data")
      return Error{Code::kInvalid,
                   fmt::format("redact.json: '{}': a path begins with request, response or data", path)};
    out->compiled_->paths.push_back({std::move(steps), named("json: " + path)});
  }
  for (const std::string& pattern : rules.patterns) {
    re2::RE2::Options how(re2::RE2::Latin1);
    how.set_log_errors(false);
    auto expression = std::make_unique<re2::RE2>(pattern, how);
    if (!expression->ok())
      return Error{Code::kInvalid, fmt::format("redact.patterns: '{}': {}", pattern, expression->error())};
    out->compiled_->patterns.push_back({std::move(expression), named("pattern: " + pattern)});
  }
  if (!rules.kfl.empty()) {
    kfl::Options how = options;
    how.dialect = kfl::Dialect::kV1;
    auto compiled = kfl::compile(rules.kfl, how);
    if (!compiled.filter) return Error{Code::kInvalid, "redact.kfl:\n" + kfl::render(rules.kfl, compiled.diagnostics)};
    if (!compiled.filter->redacts())
      return Error{Code::kInvalid,
                   fmt::format("redact.kfl: '{}' redacts nothing: redact(\"request.path\") does", rules.kfl)};
    out->compiled_->filter = *std::move(compiled.filter);
    out->compiled_->filter_rule = named("kfl");
  }
  return std::shared_ptr<const Redaction>(std::move(out));
}

void Redaction::find(const item::Item& item, std::vector<Secret>& out) const {
  Arena arena;
  const item::Value root = item::as_value(item, arena);
  Findings findings;
  collect(item, root, findings, arena);
  // One that cannot be found says that not all is known.
  if (findings.too_many) out.push_back({std::string(4096, '\x01'), Secret::Side::kAny, true, 0});
  out.insert(out.end(), std::make_move_iterator(findings.secrets.begin()),
             std::make_move_iterator(findings.secrets.end()));
}

void Redaction::match(std::string_view bytes, std::vector<Range>& out) const {
  for (const Compiled::Pattern& p : compiled_->patterns)
    each_match(*p.expression, bytes, [&](size_t begin, size_t end) { out.push_back({begin, end, p.rule}); });
}

RedactionRules operator+(RedactionRules a, const RedactionRules& b) {
  const auto join = [](std::vector<std::string>& to, const std::vector<std::string>& more) {
    to.insert(to.end(), more.begin(), more.end());
  };
  a.secrets |= b.secrets;
  join(a.headers, b.headers);
  join(a.json, b.json);
  join(a.patterns, b.patterns);
  a.kfl = a.kfl.empty() || b.kfl.empty() ? a.kfl + b.kfl : "(" + a.kfl + ") and (" + b.kfl + ")";
  return a;
}

}  // namespace baleen::record
