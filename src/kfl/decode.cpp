#include "kfl/decode.h"

#include <expat.h>

#include <algorithm>
#include <array>
#include <vector>

#include "kfl/limits.h"

namespace baleen::kfl {
namespace {

using item::Member;
using item::Value;

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_reverse() {
  std::array<int8_t, 256> reverse{};
  for (auto& r : reverse) r = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i) reverse[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return reverse;
}
constexpr auto kReverse = make_reverse();

std::optional<std::string_view> decode(std::string_view text, bool padded, Arena& arena) {
  if (text.size() > kMaxDecoded) return std::nullopt;
  for (size_t i = 0; i < std::min<size_t>(text.size(), 4);
       ++i) {  // most texts are not base64: say so before allocating
    const char c = text[i];
    if (kReverse[static_cast<uint8_t>(c)] < 0 && c != '=' && c != '\n' && c != '\r') return std::nullopt;
  }
  char* out = static_cast<char*>(arena.allocate(text.size() / 4 * 3 + 3, 1));
  size_t used = 0, digits = 0, pads = 0;
  uint32_t bits = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    if (c == '=') {
      ++pads;
      continue;
    }
    const int8_t v = kReverse[static_cast<uint8_t>(c)];
    if (v < 0 || pads != 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(v);
    if (++digits % 4 == 0) {
      out[used++] = static_cast<char>(bits >> 16);
      out[used++] = static_cast<char>(bits >> 8);
      out[used++] = static_cast<char>(bits);
    }
  }
  const size_t rest = digits % 4;
  if (rest == 1 || pads > 2) return std::nullopt;
  const size_t wanted = rest == 0 ? 0 : 4 - rest;
  if (padded ? pads != wanted : pads != 0 && pads != wanted) return std::nullopt;
  if (rest >= 2) out[used++] = static_cast<char>(bits >> (rest == 2 ? 4 : 10));
  if (rest == 3) out[used++] = static_cast<char>(bits >> 2);
  return std::string_view(out, used);
}

constexpr size_t kMaxElements = 200'000;
constexpr size_t kMaxXmlDepth = 64;

/// Builds the tree from expat's calls.
class XmlBuilder {
 public:
  explicit XmlBuilder(Arena& arena) : arena_(arena) {}

  std::optional<Value> parse(std::string_view text) {
    parser_ = XML_ParserCreate(nullptr);
    if (parser_ == nullptr) return std::nullopt;
    XML_SetUserData(parser_, this);
    XML_SetElementHandler(
        parser_, [](void* self, const char* name, const char** a) { static_cast<XmlBuilder*>(self)->open(name, a); },
        [](void* self, const char*) { static_cast<XmlBuilder*>(self)->close(); });
    XML_SetCharacterDataHandler(parser_, [](void* self, const char* s, int n) {
      static_cast<XmlBuilder*>(self)->open_.back().text.append(s, static_cast<size_t>(n));
    });
    // Entities that the text declares itself are how a small text becomes a large one.
    XML_SetEntityDeclHandler(parser_, [](void* self, const char*, int, const char*, int, const char*, const char*,
                                         const char*, const char*) { static_cast<XmlBuilder*>(self)->stop(); });
    open_.emplace_back();
    const auto status = XML_Parse(parser_, text.data(), static_cast<int>(text.size()), 1);
    XML_ParserFree(parser_);
    if (status != XML_STATUS_OK || stopped_) return std::nullopt;
    return Value::map(members_of(open_.front()));
  }

 private:
  struct Element {
    std::string_view name;
    std::vector<Member> members;
    std::string text;
  };

  void stop() {
    stopped_ = true;
    XML_StopParser(parser_, XML_FALSE);
  }

  void open(const char* name, const char** attributes) {
    if (open_.size() > kMaxXmlDepth || ++elements_ > kMaxElements) return stop();
    Element& e = open_.emplace_back();
    e.name = arena_.copy(std::string_view(name));
    for (; *attributes != nullptr; attributes += 2)
      e.members.push_back(
          {arena_.copy("-" + std::string(attributes[0])), arena_.copy(std::string_view(attributes[1]))});
  }

  void close() {
    Element e = std::move(open_.back());
    open_.pop_back();
    const std::string_view blanks = " \t\r\n";
    const size_t first = e.text.find_first_not_of(blanks);
    std::string_view text;
    if (first != std::string::npos)
      text = arena_.copy(std::string_view(e.text).substr(first, e.text.find_last_not_of(blanks) - first + 1));
    Value value(text);
    if (!e.members.empty()) {
      if (!text.empty()) e.members.push_back({"#text", text});
      value = Value::map(members_of(e));
    }
    open_.back().members.push_back({e.name, value});
  }

  /// Members of one name become one member with a list, at the place of the first.
  std::span<const Member> members_of(const Element& e) {
    std::vector<size_t> order(e.members.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return e.members[a].name < e.members[b].name; });
    std::vector<std::pair<size_t, Member>> merged;
    for (size_t i = 0; i < order.size();) {
      size_t end = i + 1;
      while (end < order.size() && e.members[order[end]].name == e.members[order[i]].name) ++end;
      Member m = e.members[order[i]];
      if (end - i > 1) {
        const auto list = arena_.array<Value>(end - i);
        for (size_t j = i; j < end; ++j) list[j - i] = e.members[order[j]].value;
        m.value = Value::list(list);
      }
      merged.emplace_back(order[i], m);
      i = end;
    }
    std::sort(merged.begin(), merged.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    const auto out = arena_.array<Member>(merged.size());
    for (size_t i = 0; i < out.size(); ++i) out[i] = merged[i].second;
    return out;
  }

  Arena& arena_;
  XML_Parser parser_ = nullptr;
  std::vector<Element> open_;
  size_t elements_ = 0;
  bool stopped_ = false;
};

void append_escaped(std::string_view text, std::string& out) {
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
}

void append_element(std::string_view name, const Value& v, std::string& out) {
  if (v.is_list()) {
    for (const Value& e : v.elements()) append_element(name, e, out);
    return;
  }
  out.append("<").append(name);
  for (const Member& m : v.members()) {
    if (!m.name.starts_with('-')) continue;
    out.append(" ").append(m.name.substr(1)).append("=\"");
    append_escaped(m.value.text(), out);
    out += '"';
  }
  std::string inside;
  append_escaped(v.text(), inside);
  std::vector<const Member*> children;
  for (const Member& m : v.members()) {
    if (m.name == "#text")
      append_escaped(m.value.text(), inside);
    else if (!m.name.starts_with('-'))
      children.push_back(&m);
  }
  std::stable_sort(children.begin(), children.end(),
                   [](const Member* a, const Member* b) { return a->name < b->name; });
  for (const Member* m : children) append_element(m->name, m->value, inside);
  if (inside.empty()) {
    out += "/>";
  } else {
    out.append(">").append(inside).append("</").append(name).append(">");
  }
}

}  // namespace

std::optional<std::string_view> decode_base64(std::string_view text, Arena& arena) { return decode(text, true, arena); }
std::optional<std::string_view> decode_base64_loose(std::string_view text, Arena& arena) {
  return decode(text, false, arena);
}

std::string_view encode_base64(std::string_view bytes, Arena& arena) {
  char* out = static_cast<char*>(arena.allocate((bytes.size() + 2) / 3 * 4, 1));
  char* at = out;
  const auto* p = reinterpret_cast<const uint8_t*>(bytes.data());
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t have = std::min<size_t>(3, bytes.size() - i);
    const uint32_t v = uint32_t{p[i]} << 16 | (have > 1 ? uint32_t{p[i + 1]} << 8 : 0) | (have > 2 ? p[i + 2] : 0);
    *at++ = kAlphabet[v >> 18];
    *at++ = kAlphabet[v >> 12 & 63];
    *at++ = have > 1 ? kAlphabet[v >> 6 & 63] : '=';
    *at++ = have > 2 ? kAlphabet[v & 63] : '=';
  }
  return {out, static_cast<size_t>(at - out)};
}

std::optional<Value> parse_xml(std::string_view text, Arena& arena) {
  if (text.size() > kMaxDecoded) return std::nullopt;
  return XmlBuilder(arena).parse(text);
}

void append_xml(const Value& tree, std::string& out) {
  std::vector<const Member*> roots;
  for (const Member& m : tree.members()) roots.push_back(&m);
  for (const Member* m : roots) append_element(m->name, m->value, out);
}

}  // namespace baleen::kfl
