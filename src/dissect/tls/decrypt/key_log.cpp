#include "dissect/tls/decrypt/key_log.h"

#include <algorithm>

namespace baleen::dissect::tls {
namespace {

constexpr std::string_view kLabels[] = {
    "CLIENT_RANDOM",
    "CLIENT_EARLY_TRAFFIC_SECRET",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
};
static_assert(std::size(kLabels) == static_cast<size_t>(SecretKind::kCount));

constexpr size_t kMasterSize = 48, kSmallestSecret = 32;

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = static_cast<char>(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/// As many bytes as there are pairs of digits, at most `room`; -1 when it is something else.
int read_hex(std::string_view text, uint8_t* out, size_t room) {
  if (text.size() % 2 != 0 || text.size() / 2 > room) return -1;
  for (size_t i = 0; i < text.size(); i += 2) {
    const int high = digit(text[i]), low = digit(text[i + 1]);
    if (high < 0 || low < 0) return -1;
    out[i / 2] = static_cast<uint8_t>(high << 4 | low);
  }
  return static_cast<int>(text.size() / 2);
}

void append_hex(Bytes bytes, std::string& out) {
  for (const uint8_t b : bytes) {
    out += "0123456789abcdef"[b >> 4];
    out += "0123456789abcdef"[b & 15];
  }
}

/// The text up to the next blank, which goes with it.
std::string_view word(std::string_view& rest) {
  const size_t size = std::min(rest.find(' '), rest.size());
  const std::string_view out = rest.substr(0, size);
  rest.remove_prefix(std::min(size + 1, rest.size()));
  return out;
}

}  // namespace

void KeyLog::add(std::string_view lines) {
  const std::lock_guard lock(mutex_);
  bool fresh = false;
  while (!lines.empty()) {
    const size_t size = std::min(lines.find('\n'), lines.size());
    std::string_view line = lines.substr(0, size);
    lines.remove_prefix(std::min(size + 1, lines.size()));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && line.front() != '#') fresh |= add_line(line);
  }
  if (fresh) version_.fetch_add(1, std::memory_order_release);
}

/// Whether it says something that was not known.
bool KeyLog::add_line(std::string_view line) {
  const std::string_view label = word(line);
  const auto* const found = std::find(std::begin(kLabels), std::end(kLabels), label);
  if (found == std::end(kLabels)) {
    const bool is_label = !label.empty() && std::all_of(label.begin(), label.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
    ++(is_label && !line.empty() ? counters_.other : counters_.malformed);
    return false;
  }
  const auto kind = static_cast<size_t>(found - std::begin(kLabels));
  Random random;
  Secret secret;
  const int random_size = read_hex(word(line), random.data(), random.size());
  const int size = read_hex(word(line), secret.bytes.data(), secret.bytes.size());
  const bool ok = random_size == static_cast<int>(random.size()) && line.empty() &&
                  (size == kMasterSize || (size == kSmallestSecret && kind != 0));
  if (!ok) {
    ++counters_.malformed;
    return false;
  }
  secret.size = static_cast<uint8_t>(size);
  const auto [session, is_new] = sessions_.try_emplace(random);
  if (is_new) {
    order_.push_back(random);
    if (order_.size() > most_) {
      sessions_.erase(order_.front());
      order_.pop_front();
      ++counters_.forgotten;
    }
  }
  Secret& known = session->second[kind];
  if (known.size == secret.size && known.bytes == secret.bytes) return false;
  known = secret;
  ++counters_.secrets;
  return true;
}

bool KeyLog::find(Bytes client_random, SecretKind kind, Secret& out) const {
  Random random;
  if (client_random.size() != random.size()) return false;
  std::copy(client_random.begin(), client_random.end(), random.begin());
  const std::lock_guard lock(mutex_);
  const auto session = sessions_.find(random);
  if (session == sessions_.end() || session->second[static_cast<size_t>(kind)].size == 0) return false;
  out = session->second[static_cast<size_t>(kind)];
  return true;
}

std::string KeyLog::lines(Bytes client_random) const {
  Secret secret;
  std::string out;
  for (size_t kind = 0; kind < std::size(kLabels); ++kind) {
    if (!find(client_random, static_cast<SecretKind>(kind), secret)) continue;
    out += kLabels[kind];
    out += ' ';
    append_hex(client_random, out);
    out += ' ';
    append_hex(secret.view(), out);
    out += '\n';
  }
  return out;
}

KeyLogCounters KeyLog::counters() const {
  const std::lock_guard lock(mutex_);
  KeyLogCounters out = counters_;
  out.sessions = sessions_.size();
  return out;
}

}  // namespace baleen::dissect::tls
