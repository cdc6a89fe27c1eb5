#include "kfl/diagnose.h"

#include <fmt/format.h>

#include <algorithm>

namespace baleen::kfl {
namespace {

struct Place {
  size_t line = 1, column = 1;  // columns count characters, not bytes
  std::string_view text;        // the whole line
};

bool continues(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

size_t characters(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !continues(c); }));
}

Place locate(std::string_view text, size_t at) {
  at = std::min(at, text.size());
  Place p;
  p.line = 1 + static_cast<size_t>(std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n'));
  const size_t before = at == 0 ? std::string_view::npos : text.rfind('\n', at - 1);
  const size_t start = before == std::string_view::npos ? 0 : before + 1;
  p.text = text.substr(start, std::min(text.find('\n', at), text.size()) - start);
  p.column = 1 + characters(text.substr(start, at - start));
  return p;
}

}  // namespace

std::vector<Diagnostic> Diagnoser::take() {
  std::stable_sort(all_.begin(), all_.end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return a.begin < b.begin; });
  return std::move(all_);
}

std::string shown(std::string_view token) {
  if (token.empty()) return "\"<EOF>\"";
  if (token.size() > 40) return fmt::format("\"{}…\"", token.substr(0, 37));
  return fmt::format("\"{}\"", token);
}

std::string render(std::string_view text, std::span<const Diagnostic> diagnostics) {
  static constexpr std::string_view kNames[] = {"error", "warning", "note"};
  std::string out;
  for (const Diagnostic& d : diagnostics) {
    if (d.severity == Diagnostic::Severity::kNote && d.begin == 0 && d.end == text.size()) {  // about all of it
      out += fmt::format("note: {}\n", d.message);
      continue;
    }
    const Place p = locate(text, d.begin);
    out += fmt::format("{}:{}: {}: {}\n", p.line, p.column, kNames[static_cast<size_t>(d.severity)], d.message);
    const size_t length = d.end > d.begin ? characters(text.substr(d.begin, d.end - d.begin)) : 1;
    const size_t room = characters(p.text) + 1 >= p.column ? characters(p.text) + 1 - p.column : 0;
    out += fmt::format("  {}\n  {}^{}\n", p.text, std::string(p.column - 1, ' '),
                       std::string(std::max<size_t>(1, std::min(length, room)) - 1, '~'));
    if (!d.suggestion.empty()) out += fmt::format("  {}\n", d.suggestion);
  }
  return out;
}

}  // namespace baleen::kfl
