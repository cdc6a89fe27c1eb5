#pragma once

#include <string_view>

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::mysql {

/// Length-encoded integer; sticky failure as usual.
/// https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_dt_integers.html
uint64_t lenenc(ByteReader& r);
/// Length-encoded string, or what there is of it when the message was cut.
std::string_view lenenc_text(ByteReader& r);
/// NUL-terminated, or up to the end.
std::string_view c_text(ByteReader& r);
/// A value of the binary protocol by its column type; texts and bytes borrow the reader's bytes, dates are written to
/// `arena`. https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_binary_resultset.html
item::Value binary_value(ByteReader& r, uint8_t type, bool is_unsigned, Arena& arena);

}  // namespace baleen::dissect::mysql
