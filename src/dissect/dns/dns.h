#pragma once

#include "dissect/dissector.h"
#include "dissect/matcher.h"

namespace baleen::dissect::dns {

struct Transfer;
struct Shape;

/// DNS (RFC 1035 and its many followers) over UDP and TCP, with its relatives of the same format: mDNS (RFC 6762, port
/// 5353) and LLMNR (RFC 4795, port 5355), which have cards of their own. NetBIOS names (RFC 1002) are not claimed.
///
/// Answers are matched by id and first question. Multicast protocols do not pair: every message is an item.
class Dns final : public Session {
 public:
  static const item::Protocol kProtocol, kMulticast, kLinkLocal;
  static const item::Protocol* const kCards[3];
  static constexpr bool kTcp = true, kUdp = true;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  void message(const Input& in, Bytes message, uint64_t wire_size, Output& out);
  void query(const Input& in, Bytes message, const Shape& shape, uint64_t wire_size, Output& out);
  void answer(const Input& in, Bytes message, const Shape& shape, uint64_t wire_size, Output& out);
  void single(const item::Protocol& card, const Input& in, Bytes message, const Shape& shape, uint64_t wire_size,
              Output& out);
  item::Item* take(const Shape& shape);
  void end_transfer(const char* error, Output& out);

  InOrderMatcher waiting_;
  EarlyAnswers early_;            // of datagrams
  Transfer* transfer_ = nullptr;  // a zone transfer under way; in its item's arena
};

}  // namespace baleen::dissect::dns
