#pragma once

#include "dissect/amqp/methods.h"
#include "dissect/framed.h"

namespace baleen::dissect::amqp {

struct Content;

/// AMQP 0-9-1 with RabbitMQ's extensions. One item per method that is answered; contents (publish, deliver, return) and
/// methods without an answer (ack, nack, reject) are whole by themselves.
/// Heartbeats make no items.
class Amqp final : public Framed<Amqp, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void forget(Direction direction, Output& out);

 private:
  void method(const Frame& frame, Output& out);
  void header(const Frame& frame, Output& out);
  void body(const Frame& frame, Output& out);
  void complete(Content* content, Output& out);
  item::Item* take(uint16_t channel, const Method& answer);

  Content* contents_[2] = {};  // methods whose content is still to come, by direction; in their items' arenas
};

}  // namespace baleen::dissect::amqp
