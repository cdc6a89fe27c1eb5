#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/bytes.h"

namespace baleen::dissect::tls {

/// The labels of an NSS key log that decryption needs (draft-ietf-tls-keylogfile; CLIENT_RANDOM: TLS 1.2 and before).
enum class SecretKind : uint8_t {
  kMaster,
  kClientEarly,
  kClientHandshake,
  kServerHandshake,
  kClientApplication,
  kServerApplication,
  kCount
};

struct Secret {
  std::array<uint8_t, 48> bytes{};
  uint8_t size = 0;  // 32 or 48; 0: not known
  Bytes view() const { return {bytes.data(), size}; }
};

struct KeyLogCounters {
  uint64_t secrets = 0;    // that were new
  uint64_t malformed = 0;  // lines that are none
  uint64_t other = 0;      // lines with labels that nobody here needs
  uint64_t forgotten = 0;  // sessions whose secrets made room for others
  uint64_t sessions = 0;   // whose secrets are known now
};

/// Secrets of TLS sessions by the random of their ClientHello. Any thread; a look-up takes a lock for an instant, and
/// is made when a session's keys are due and version() has changed since they were not there. Bounded: the oldest
/// sessions make room.
class KeyLog {
 public:
  static constexpr size_t kMostSessions = 1 << 17;  // about 50 MB
  explicit KeyLog(size_t most_sessions = kMostSessions) : most_(most_sessions) {}

  /// Whether more may come later than it is needed (a file that programs write meanwhile): then sealed records wait.
  bool grows() const { return grows_.load(std::memory_order_relaxed); }
  void set_grows(bool grows) { grows_.store(grows, std::memory_order_relaxed); }
  /// Whether there is no use in asking, now or later.
  bool is_idle() const { return version() == 0 && !grows(); }

  /// Adds what these lines say; the last one may lack its end of line.
  void add(std::string_view lines);
  /// False when it is not known (yet).
  bool find(Bytes client_random, SecretKind kind, Secret& out) const;
  /// All that is known of a session as lines of a key log; empty when that is nothing.
  std::string lines(Bytes client_random) const;
  /// Changes whenever find() may know more.
  uint64_t version() const { return version_.load(std::memory_order_acquire); }
  KeyLogCounters counters() const;

 private:
  using Random = std::array<uint8_t, 32>;
  struct HashRandom {
    size_t operator()(const Random& r) const {
      return std::hash<std::string_view>{}({reinterpret_cast<const char*>(r.data()), r.size()});
    }
  };
  using Session = std::array<Secret, static_cast<size_t>(SecretKind::kCount)>;
  bool add_line(std::string_view line);

  size_t most_;
  mutable std::mutex mutex_;
  std::unordered_map<Random, Session, HashRandom> sessions_;
  std::deque<Random> order_;
  KeyLogCounters counters_;
  std::atomic<uint64_t> version_{0};
  std::atomic<bool> grows_{false};
};

}  // namespace baleen::dissect::tls
