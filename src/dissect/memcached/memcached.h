#pragma once

#include "dissect/framed.h"
#include "dissect/lines.h"

namespace baleen::dissect::memcached {

struct Reply;

/// memcached's text protocol (classic and meta commands) and its binary protocol, over TCP. Text replies come in order,
/// binary ones by their opaque number; quiet binary commands that are not answered count as answered by the next.
class Memcached final : public Framed<Memcached, InOrderPairs> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes);
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void forget(Direction direction, Output& out);

 private:
  Step text_request(const Frame& frame, Output& out);
  Step text_reply(const Frame& frame, Output& out);
  Step binary(const Frame& frame, Output& out);
  void finish_reply(std::string_view status, Output& out);

  LineScan lines_;
  Reply* reply_ = nullptr;  // values that wait for their END; in its item's arena
};

}  // namespace baleen::dissect::memcached
