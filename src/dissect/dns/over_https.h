#pragma once

#include "dissect/dissector.h"

namespace baleen::dissect::dns {

/// Whether a body of this Content-Type is a message (RFC 8484 6).
bool is_dns_message(std::string_view content_type);

/// DNS over HTTPS (RFC 8484): makes an item of DNS beside that of the request and response which carried it, `carrier`,
/// whose payloads are complete and which is not finished. A message that is none is counted and leaves no item.
void over_https(const item::Item& carrier, Output& out);

}  // namespace baleen::dissect::dns
