#include "kfl/batch.h"

#include <fmt/format.h>

#include "item/json.h"

namespace baleen::kfl {
namespace {

std::string failure(std::string_view message, size_t begin, size_t end) {
  std::string out = "{\"error\":{\"message\":";
  item::append_json(item::Value(message), out);
  return out + fmt::format(",\"begin\":{},\"end\":{}}}}}", begin, end);
}

std::string message_of(const Diagnostic& d) {
  return d.suggestion.empty() ? d.message : d.message + "; " + d.suggestion;
}

}  // namespace

std::optional<Dialect> dialect_named(std::string_view name) {
  if (name == "auto") return Dialect::kAuto;
  if (name == "v1") return Dialect::kV1;
  if (name == "v2") return Dialect::kV2;
  return std::nullopt;
}

std::string_view dialect_name(Dialect d) { return d == Dialect::kV1 ? "v1" : d == Dialect::kV2 ? "v2" : "auto"; }

std::string answer_line(std::string_view line, const Options& given) {
  Arena arena;
  const auto root = item::parse_json(line, arena);
  if (!root || !root->is_map()) return failure("the line is no JSON object", 0, 0);
  const item::Value* filter = root->find("filter");
  const item::Value* record = root->find("item");
  if (filter == nullptr || !filter->is_string()) return failure("\"filter\" must be a text", 0, 0);
  if (record == nullptr) return failure("\"item\" is missing", 0, 0);
  Options options = given;
  if (const item::Value* dialect = root->find("dialect"); dialect != nullptr && !dialect->is_null()) {
    const auto named = dialect_named(dialect->text());
    if (!named) return failure("\"dialect\" must be auto, v1 or v2", 0, 0);
    options.dialect = *named;
  }
  const Compiled compiled = compile(filter->text(), options);
  if (!compiled.filter) {
    for (const Diagnostic& d : compiled.diagnostics)
      if (d.severity == Diagnostic::Severity::kError) return failure(message_of(d), d.begin, d.end);
    return failure("the filter does not compile", 0, filter->size());
  }
  const Filter::Answer answer = compiled.filter->apply_json(*record, arena);
  std::string out = fmt::format("{{\"match\":{},\"limit\":{},\"item\":", answer.match, compiled.filter->limit());
  item::append_json(answer.record, out);
  return out + "}";
}

}  // namespace baleen::kfl
