#pragma once

#include "base/arena.h"
#include "dissect/dns/wire.h"
#include "item/value.h"

namespace baleen::dissect::dns {

/// What a message's skeleton says: all counts, names and lengths are followed, nothing is written.
struct Shape {
  Header header;
  size_t size = 0;                                                        // bytes of what could be followed
  uint16_t questions = 0, answers = 0, authorities = 0, additionals = 0;  // as many as could be followed
  bool whole = false;                                                     // all that the header promises is there
  bool question_ok = false;                                               // the header and all questions are
  bool cut = false;      // ... not, as not all of it was captured; set by whoever knows
  bool netbios = false;  // the first question is one of RFC 1002, which looks like DNS
  uint64_t key = 0;      // of id and first question, without regard to case (RFC 4343)
  uint16_t question_type = 0;
};
Shape survey(Bytes message);

/// Whether what was followed looks like DNS rather than like bytes that happen to parse.
bool plausible(const Shape& shape);

/// Whether these first bytes of a message of a stream may become a plausible one. False for good.
bool may_become_plausible(Bytes beginning);

/// The payload of a request or response (reference row I-25), in `arena`. `multicast`: the top bit of a class is a flag
/// (RFC 6762 5.4, 10.2).
item::Value request_payload(Bytes message, const Shape& shape, bool multicast, Arena& arena);

/// Records of a zone transfer that come in further messages.
struct MoreRecords {
  item::Value records;  // list
  MoreRecords* next;
};
/// `more`: latest first; may be null.
item::Value response_payload(Bytes message, const Shape& shape, bool multicast, const MoreRecords* more, Arena& arena);

/// The answers of a message alone, as in the payload.
item::Value answer_list(Bytes message, const Shape& shape, bool multicast, Arena& arena);

}  // namespace baleen::dissect::dns
