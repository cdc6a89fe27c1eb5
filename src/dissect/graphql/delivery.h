#pragma once

#include <string_view>

#include "base/arena.h"
#include "dissect/http/views.h"

// Answers whose results come one after the other in one body: a result and what was deferred or streamed of it, or the
// results of a subscription.

namespace baleen::dissect::graphql {

/// The results of a body in the order in which they came, whole ones only.
class Results {
 public:
  /// multipart/mixed: https://github.com/graphql/graphql-over-http/blob/main/rfcs/IncrementalDelivery.md, "-" being the
  /// boundary where none is named.
  static Results of_parts(std::string_view body, std::string_view content_type);
  /// text/event-stream: distinct connections mode of
  /// https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md.
  static Results of_events(std::string_view body);

  /// The JSON text of the next result, of the body or in the arena; empty behind the last.
  std::string_view next(Arena& arena);
  /// Whether the server has said that there are no more.
  bool complete() const { return complete_; }

 private:
  Results(std::string_view rest, http::Parts parts, bool events) : rest_(rest), parts_(parts), events_(events) {}
  std::string_view next_event(Arena& arena);
  std::string_view take(std::string_view json);

  std::string_view rest_;
  http::Parts parts_;
  bool events_, complete_ = false;
};

}  // namespace baleen::dissect::graphql
