#pragma once

#include "dissect/framed.h"

namespace baleen::dissect::zookeeper {

/// ZooKeeper's client protocol: the session's opening, requests and replies by their xid, those within multi, watch
/// events; and the words of four letters that administrators send.
class Zookeeper final : public Framed<Zookeeper, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Step dissect(const Input& in, Output& out) override;
  void close(bool reset, Output& out) override;
  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  Probe begins(Direction direction, Bytes bytes) const;

 private:
  Step request(const Frame& frame, Output& out);
  Step reply(const Frame& frame, Output& out);
  Step word(const Input& in, Output& out);
  Step answer_to_word(const Input& in, Output& out);

  item::Item* word_ = nullptr;  // a word of four letters that is being answered
  char* text_ = nullptr;        // the answer so far, in the item's arena
  size_t kept_ = 0, room_ = 0;
};

}  // namespace baleen::dissect::zookeeper
