#pragma once

#include <memory>

#include "dissect/amqp/confirms.h"
#include "dissect/amqp/methods.h"
#include "dissect/amqp/returns.h"
#include "dissect/framed.h"

namespace baleen::dissect::amqp {

struct Content;

/// AMQP 0-9-1 with RabbitMQ's extensions. One item per method that is answered; contents (publish, deliver, return) and
/// methods without an answer (ack, nack, reject) are whole by themselves. Where a channel has publisher confirms, a
/// publish waits for what the broker says of it, and the broker's ack or nack is the answer of the newest publish that
/// it is about: every method stands in one item. A basic.return is tied to the publish that it brings back. Heartbeats
/// make no items.
class Amqp final : public Framed<Amqp, InOrderMatcher> {
 public:
  static const item::Protocol kProtocol;
  static constexpr bool kTcp = true, kUdp = false;
  static Probe probe(const Input& in);

  Measure measure(Direction direction, Bytes bytes) const;
  Step message(const Frame& frame, Output& out);
  static Probe begins(Direction direction, Bytes bytes);
  void forget(Direction direction, Output& out);
  void expire(Timestamp before, Output& out) override;

 private:
  void method(const Frame& frame, Output& out);
  void header(const Frame& frame, Output& out);
  void body(const Frame& frame, Output& out);
  void complete(Content* content, Output& out);
  item::Item* take(uint16_t channel, const Method& answer);
  void follow_channel(const Frame& frame, uint16_t channel, const Method& method, Output& out);
  bool confirm(const Frame& frame, uint16_t channel, const Method& method, Output& out);
  void tie_return(const Content& content, item::Value fields, item::Item* returned);

  Content* contents_[2] = {};           // methods whose content is still to come, by direction; in their items' arenas
  std::unique_ptr<Confirms> confirms_;  // once a channel has selected them
  std::unique_ptr<Returns> returns_;    // once something may come back
};

}  // namespace baleen::dissect::amqp
