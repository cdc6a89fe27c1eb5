#pragma once

#include "base/arena.h"
#include "base/bytes.h"
#include "item/value.h"

namespace baleen::dissect::kafka {

/// The records of Produce and Fetch: record batches (magic 2) or message sets (magic 0 and 1), compressed or not.
/// `{count, compression, records: [{offset, timestamp, key, value, headers}], …}`; at most kMaxRecords are kept, and
/// at most `cap` bytes come out of a decompressor. `bytes` live as long as the arena. A batch that is cut off at the
/// end, as brokers send it, is counted as far as it can be read.
item::Value decode_records(Bytes bytes, size_t cap, Arena& arena);

constexpr size_t kMaxRecords = 256;

}  // namespace baleen::dissect::kafka
