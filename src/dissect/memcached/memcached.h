#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "dissect/framed.h"
#include "dissect/lines.h"

namespace baleen::dissect::memcached {

struct Reply;
struct DatagramHead;

/// Answers of which some datagrams are still to come. They may come in any order.
struct Joins {
  static constexpr size_t kMost = 16;  // answers of one conversation; the oldest is read as far as it is there

  struct Answer {
    uint16_t request, parts;
    Timestamp time;                                   // of the datagram that came first
    std::map<uint16_t, std::vector<uint8_t>> here{};  // by their numbers
    uint32_t whole = UINT16_MAX + 1;                  // parts before the first that was not captured whole
    size_t bytes = 0;
  };
  std::list<Answer> answers;  // oldest first
  size_t bytes = 0;           // that all of them keep; at most Settings::header_cap
};

/// memcached's text protocol (classic and meta commands) and its binary protocol, over TCP and UDP. Text replies come
/// in order, binary ones by their opaque number, those of datagrams by the number of their request; quiet commands that
/// are not answered count as answered by the next.
class Memcached final : public Framed<Memcached, InOrderPairs> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = true;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  void expire(Timestamp before, Output& out) override;
  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void rewind(Direction direction) { lines_.rewind(direction); }
  void forget(Direction direction, Output& out);

 private:
  Step text_request(const Frame& frame, Output& out);
  Step text_reply(const Frame& frame, Output& out);
  Step binary(const Frame& frame, Output& out);
  Step binary_stat(const Frame& frame, Output& out);
  Step datagram(const Input& in, Output& out);
  void messages(uint16_t request, const Input& in, Output& out);
  void join(const DatagramHead& head, const Input& in, Output& out);
  void read_joined(std::list<Joins::Answer>::iterator answer, Output& out);
  void ask(item::Item* item, Output& out);
  item::Item* answer();
  item::Item* answer_to_text(std::string_view line, Output& out);
  item::Item* answer_to_binary(uint64_t key, Output& out);
  void finish_reply(std::string_view status, Output& out);

  LineScan lines_;
  KeyedMatcher datagrams_;             // by request number
  std::optional<uint16_t> request_{};  // of the datagram in hand
  std::unique_ptr<Joins> joins_;       // once an answer comes in several datagrams
  Reply* reply_ = nullptr;             // values that wait for their END; in its item's arena
};

}  // namespace baleen::dissect::memcached
