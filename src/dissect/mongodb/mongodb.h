#pragma once

#include "dissect/dissector.h"
#include "dissect/matcher.h"

namespace baleen::dissect::mongodb {

/// MongoDB's wire protocol (https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/), and what speaks it
/// (FerretDB, DocumentDB, Cosmos DB).
///
/// One item per request and its reply, matched by number. Requests that ask for no reply are items without one; the
/// later replies to an exhaust request are single items.
class Mongodb final : public Session {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true;
  static constexpr bool kUdp = false;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  bool gap(Direction direction, uint64_t bytes, Output& out) override;
  Resync resync(const Input& in) override;
  void expire(Timestamp before, Output& out) override;
  void close(bool reset, Output& out) override;

 private:
  void request(const Input& in, Bytes message, uint64_t size, Output& out);
  void reply(const Input& in, Bytes message, uint64_t size, Output& out);

  KeyedMatcher waiting_;
  uint64_t skip_[2] = {0, 0};  // rest of a message whose front was enough
  uint32_t exhaust_ = 0;       // number of the last reply that announced another
  bool exhausting_ = false;
  bool lost_here_[2] = {false, false};  // the next byte begins no message, whatever it looks like
};

}  // namespace baleen::dissect::mongodb
