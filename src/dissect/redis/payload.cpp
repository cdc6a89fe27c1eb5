#include "dissect/redis/payload.h"

#include <algorithm>
#include <cstring>

#include "dissect/build.h"
#include "dissect/redis/command.h"

namespace baleen::dissect::redis {

using item::Member;
using item::Value;

namespace {

constexpr size_t kMaxKey = 64;
constexpr size_t kMaxCommandLine = 4096;

bool is_secret(const Command& c, size_t i) { return i >= c.secret_first && i - c.secret_first < c.secret_count; }

/// The arguments with spaces between, for people and filters.
std::string_view command_line(std::span<const Value> args, const Command& c, Arena& arena) {
  size_t size = 0;
  for (const Value& a : args) {
    size += a.text().size() + 1;
    if (size > kMaxCommandLine) break;
  }
  size = std::min(size + c.secret_count * 10, kMaxCommandLine);
  char* const line = static_cast<char*>(arena.allocate(size, 1));
  size_t at = 0;
  for (size_t i = 0; i < args.size() && at < size; ++i) {
    if (i != 0) line[at++] = ' ';
    const std::string_view text = is_secret(c, i) ? std::string_view("(secret)") : args[i].text();
    const size_t n = std::min(text.size(), size - at);
    if (n != 0) std::memcpy(line + at, text.data(), n);
    at += n;
  }
  return {line, at};
}

std::string_view upper(std::string_view text, Arena& arena) {
  if (std::none_of(text.begin(), text.end(), [](char ch) { return ch >= 'a' && ch <= 'z'; })) return text;
  char* out = static_cast<char*>(arena.allocate(text.size(), 1));
  std::transform(text.begin(), text.end(), out, [](char ch) { return ch >= 'a' && ch <= 'z' ? char(ch - 32) : ch; });
  return {out, text.size()};
}

/// "MOVED 3999 127.0.0.1:6381"
Value redirect(std::string_view text, Arena& arena) {
  const size_t a = text.find(' ');
  const size_t b = a == std::string_view::npos ? a : text.find(' ', a + 1);
  if (b == std::string_view::npos) return {};
  int64_t slot = 0;
  for (const char ch : text.substr(a + 1, std::min<size_t>(b - a - 1, 9))) {
    if (ch < '0' || ch > '9') return {};
    slot = slot * 10 + (ch - '0');
  }
  MapBuilder<3> map;
  map.add("kind", text.substr(0, a));
  map.add("slot", slot);
  map.add("address", text.substr(b + 1));
  return map.build(arena);
}

}  // namespace

std::string_view type_name(char type) {
  switch (type) {
    case '+': return "Simple String";
    case '-': return "Error";
    case ':': return "Integer";
    case '$': return "Bulk String";
    case '*': return "Array";
    case '_': return "Null";
    case '#': return "Boolean";
    case ',': return "Double";
    case '(': return "Big Number";
    case '!': return "Bulk Error";
    case '=': return "Verbatim String";
    case '%': return "Map";
    case '~': return "Set";
    case '>': return "Push";
    default: return "N/A";
  }
}

Value copy_into(Arena& arena, const Value& v) {
  switch (v.type()) {
    case Value::Type::kString: return Value(arena.copy(v.text()));
    case Value::Type::kBytes: return Value::bytes(arena.copy(as_bytes(v.text())));
    case Value::Type::kList: {
      auto list = arena.array<Value>(v.size());
      std::transform(v.elements().begin(), v.elements().end(), list.begin(),
                     [&](const Value& e) { return copy_into(arena, e); });
      return Value::list(list);
    }
    case Value::Type::kMap: {
      auto map = arena.array<Member>(v.size());
      std::transform(v.members().begin(), v.members().end(), map.begin(),
                     [&](const Member& m) { return Member{arena.copy(m.name), copy_into(arena, m.value)}; });
      return Value::map(map);
    }
    default: return v;
  }
}

Value command_payload(std::string_view type, std::span<const Value> args, uint64_t count, bool truncated,
                      bool transaction, uint64_t verb, Arena& arena) {
  const Command c = understand(verb, args);
  MapBuilder<12> map;
  map.add("type", type);
  map.add("command", args.empty() ? Value("") : Value(upper(args[0].text(), arena)));
  map.add("key", c.key.substr(0, kMaxKey));
  if (c.secret_count == 0 && !c.value.is_null()) map.add("value", c.value);
  if (!c.keyword.empty()) map.add("keyword", upper(c.keyword, arena));
  map.add("commandLine", command_line(args, c, arena));
  if (c.secret_count == 0) {
    map.add("args", Value::list(args.subspan(std::min<size_t>(1, args.size()))));
  } else {
    auto open = arena.array<Value>(args.size());
    size_t n = 0;
    for (size_t i = 1; i < args.size(); ++i)
      if (!is_secret(c, i)) open[n++] = args[i];
    map.add("args", Value::list(open.subspan(0, n)));
    if (!c.user.empty()) map.add("user", c.user);
    if (c.secret_count == 1 && c.secret_first < args.size())
      map.add("password", args[c.secret_first]);
    else
      map.add("password", Value::list(args.subspan(std::min<size_t>(c.secret_first, args.size()))));
  }
  map.add("argCount", count == 0 ? uint64_t{0} : count - 1);
  if (transaction) map.add("transaction", true);
  if (truncated) map.add("truncated", true);
  return map.build(arena);
}

Value reply_payload(char type, const Value& value, uint64_t count, bool truncated, Arena& arena) {
  MapBuilder<8> map;
  map.add("type", type_name(type));
  map.add("value", value);
  if (type == '-' || type == '!') {
    const std::string_view text = value.text();
    const std::string_view word = text.substr(0, text.find(' '));
    map.add("status", word.empty() ? std::string_view("ERR") : word);
    map.add("error", value);
    if (word == "MOVED" || word == "ASK")
      if (const Value r = redirect(text, arena); !r.is_null()) map.add("redirect", r);
  } else {
    map.add("status", "OK");
    if (type == '+') map.add("keyword", value);
  }
  if (value.type() >= Value::Type::kList) map.add("count", count);
  if (truncated) map.add("truncated", true);
  return map.build(arena);
}

}  // namespace baleen::dissect::redis
