#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "item/value.h"

// basic.return (AMQP 0-9-1, 1.8.3.9) brings a message back that was published as `mandatory` or `immediate` and could
// not be. It names no number, only the exchange, the routing key and the message; a broker looks at a channel's
// publishes in their order.

namespace baleen::dissect::amqp {

/// What a broker gives back as it got it: exchange, routing key and body, of a publish as of a return.
uint64_t message_signature(item::Value fields);
/// The same of two messages themselves; the bodies, which may be long, are looked at last.
bool is_same_message(item::Value a, item::Value b);
/// Whether the broker may return it.
bool is_returnable(item::Value publish_fields);

/// The latest returnable publishes of one connection whose items are already finished, at most kMost; older ones are
/// forgotten, as nothing says that they were not returned.
class Returns {
 public:
  static constexpr size_t kMost = 1024;

  /// `index`: the number of the publish's item in its stream. Returns whether another publish was forgotten for it.
  bool note(uint16_t channel, uint64_t index, uint64_t signature);
  /// The publish that comes back; those before it on the channel will not.
  std::optional<uint64_t> take(uint16_t channel, uint64_t signature);
  /// The channel is closed or new.
  void forget(uint16_t channel);
  void forget_all() { publishes_.clear(); }

 private:
  struct Publish {
    uint64_t index, signature;
    uint16_t channel;
  };
  std::deque<Publish> publishes_;
};

}  // namespace baleen::dissect::amqp
