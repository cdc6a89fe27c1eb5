#include "script/yaml.h"

#include <algorithm>

#include "item/json.h"

namespace baleen::script {
namespace {

bool is_plain(std::string_view text) {
  if (text.empty() || text.size() > 1024) return false;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  if (!letter(text[0]) && text[0] != '/') return false;  // numbers, indicators and blanks
  for (char c : text)
    if (!letter(c) && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '/' && c != ' ') return false;
  if (text.back() == ' ') return false;
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
  static constexpr std::string_view kWords[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  return std::find(std::begin(kWords), std::end(kWords), lower) == std::end(kWords);
}

void append_text(std::string_view text, std::string& out) {
  if (is_plain(text))
    out += text;
  else
    item::append_json(item::Value(text), out);  // a JSON string is a YAML string
}

bool is_block(const item::Value& value) { return (value.is_map() || value.is_list()) && value.size() != 0; }

void append_at(const item::Value& value, size_t indent, std::string& out);

void append_below(const item::Value& value, size_t indent, std::string& out) {
  if (!is_block(value)) {
    out += ' ';
    append_at(value, indent, out);
    return;
  }
  out += '\n';
  append_at(value, indent, out);
}

void append_at(const item::Value& value, size_t indent, std::string& out) {
  if (value.is_string()) {
    append_text(value.text(), out);
    out += '\n';
  } else if (!is_block(value)) {
    item::append_json(value, out);
    out += '\n';
  } else if (value.is_map()) {
    for (const item::Member& m : value.members()) {
      out.append(indent, ' ');
      append_text(m.name, out);
      out += ':';
      append_below(m.value, m.value.is_list() ? indent : indent + 2, out);
    }
  } else {
    for (const item::Value& element : value.elements()) {
      out.append(indent, ' ').append("-");
      append_below(element, indent + 2, out);
    }
  }
}

}  // namespace

void append_yaml(const item::Value& value, std::string& out) { append_at(value, 0, out); }

}  // namespace baleen::script
