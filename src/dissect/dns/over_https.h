#pragma once

#include "dissect/dissector.h"

namespace baleen::dissect::dns {

/// One direction of an exchange over HTTP; `message` is empty where there was none.
struct HttpHalf {
  Bytes message;
  Timestamp time;
};

/// The media type of a message (RFC 8484 6).
constexpr std::string_view kMediaType = "application/dns-message";

/// DNS over HTTPS (RFC 8484): makes an item of DNS beside that of the request and response which carried it. Messages
/// that are none are counted and leave no item.
void over_https(const HttpHalf& query, const HttpHalf& answer, Output& out);

}  // namespace baleen::dissect::dns
