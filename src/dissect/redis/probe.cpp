#include <algorithm>

#include "dissect/redis/command.h"
#include "dissect/redis/redis.h"
#include "dissect/text.h"

// What the first bytes of either side must be for the conversation to be Redis's.

namespace baleen::dissect::redis {
namespace {

/// A command as clients send it: "*2\r\n$3\r\nGET...".
Probe probe_command(std::string_view t) {
  size_t at = 1;
  const auto number = [&](size_t most) -> Probe {
    const size_t first = at;
    while (at < t.size() && t[at] >= '0' && t[at] <= '9') ++at;
    if (at - first > most) return Probe::kNo;
    if (at == t.size()) return Probe::kUnsure;
    if (at == first || t[at] != '\r') return Probe::kNo;
    if (at + 1 == t.size()) return Probe::kUnsure;
    if (t[at + 1] != '\n') return Probe::kNo;
    at += 2;
    return Probe::kYes;
  };
  if (const Probe p = number(7); p != Probe::kYes) return p;
  if (at == t.size()) return Probe::kUnsure;
  if (t[at++] != '$') return Probe::kNo;
  if (const Probe p = number(3); p != Probe::kYes) return p;
  if (at == t.size()) return Probe::kUnsure;
  return (t[at] | 0x20) >= 'a' && (t[at] | 0x20) <= 'z' ? Probe::kYes : Probe::kNo;
}

/// What follows AUTH or HELLO: a password (SMTP and FTP name mechanisms, in upper case), or a version of RESP.
Probe probe_log_in(std::string_view t, bool password) {
  const size_t stop = t.find('\n');
  if (stop == std::string_view::npos) return t.size() > 512 ? Probe::kNo : Probe::kUnsure;
  t = t.substr(0, stop);
  if (t.ends_with('\r')) t.remove_suffix(1);
  if (t.size() < 2 || !is_text(t)) return Probe::kNo;
  t.remove_prefix(1);
  if (!password) return t == "2" || t == "3" || t.starts_with("2 ") || t.starts_with("3 ") ? Probe::kYes : Probe::kNo;
  const std::string_view word = t.substr(0, t.find(' '));
  return word.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != word.npos ? Probe::kYes : Probe::kNo;
}

/// A command typed as text. Only what other line protocols cannot mean: memcached's set has five words, SIP and HTTP
/// name themselves at the end of the line.
Probe probe_inline(std::string_view t) {
  const size_t end = t.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz");
  if (end == std::string_view::npos) return t.size() > 12 ? Probe::kNo : Probe::kUnsure;
  if (end == 0 || end > 12 || (t[end] != ' ' && t[end] != '\r' && t[end] != '\n')) return Probe::kNo;
  const std::string_view verb = t.substr(0, end);
  if (only_ours(verb)) return Probe::kYes;
  if (same_word(verb, "AUTH") || same_word(verb, "HELLO")) return probe_log_in(t.substr(end), same_word(verb, "AUTH"));
  const bool writes = same_word(verb, "SET"), publishes = same_word(verb, "PUBLISH") || same_word(verb, "SUBSCRIBE");
  if (!writes && !publishes) return Probe::kNo;
  const size_t stop = t.find('\n');
  if (stop == std::string_view::npos) return t.size() > 512 ? Probe::kNo : Probe::kUnsure;
  const std::string_view line = t.substr(0, stop);
  if (!is_text(line)) return Probe::kNo;
  if (writes) return std::count(line.begin(), line.end(), ' ') == 2 ? Probe::kYes : Probe::kNo;
  return line.find(" HTTP/") == line.npos && line.find(" SIP/") == line.npos && line.find(' ') != line.npos &&
                 line.find("sip:") == line.npos && line[line.find(' ') + 1] != '{'
             ? Probe::kYes
             : Probe::kNo;
}

/// Replies. Status lines alone are also POP3's and NATS's, so they only carry on the search.
Probe probe_reply(std::string_view t) {
  for (int lines = 0; lines < 8; ++lines) {
    if (t.empty()) return Probe::kUnsure;
    const size_t end = t.find('\n');
    if (end == std::string_view::npos && t.size() < 200) {
      if (t[0] == '+' || t[0] == '-') return Probe::kUnsure;
      return std::string_view("*$:%>~").find(t[0]) != std::string_view::npos &&
                     t.find_first_not_of("-0123456789", 1) == t.find('\r') && t.size() < 24
                 ? Probe::kUnsure
                 : Probe::kNo;
    }
    if (end == std::string_view::npos || end < 2 || t[end - 1] != '\r') return Probe::kNo;
    const std::string_view line = t.substr(1, end - 2);
    switch (t[0]) {
      case '$':
      case '*':
      case ':':
      case '%':
      case '>':
      case '~':
        if (line.empty() || line.size() > 20 ||
            line.find_first_not_of("0123456789", line[0] == '-' ? 1 : 0) != line.npos)
          return Probe::kNo;
        return Probe::kYes;
      case '-':
        for (const std::string_view word :
             {"WRONGTYPE ", "MOVED ", "ASK ", "NOAUTH ", "WRONGPASS ", "CLUSTERDOWN ", "LOADING ", "NOSCRIPT ",
              "READONLY ", "EXECABORT ", "NOPERM ", "ERR unknown command", "ERR wrong number of"})
          if (line.starts_with(word)) return Probe::kYes;
        return Probe::kNo;
      case '+':
        if (line == "QUEUED" || line == "PONG") return Probe::kYes;
        if (line != "OK") return Probe::kNo;
        break;
      default: return Probe::kNo;
    }
    t.remove_prefix(end + 1);
  }
  return Probe::kNo;
}

}  // namespace

Probe Redis::probe(const Input& in) {
  const std::string_view t = as_text(in.bytes);
  if (t.empty()) return Probe::kUnsure;
  if (in.direction == Direction::kToClient) return probe_reply(t);
  return t[0] == '*' ? probe_command(t) : probe_inline(t);
}

}  // namespace baleen::dissect::redis
