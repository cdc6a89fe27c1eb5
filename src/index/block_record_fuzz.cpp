#include <cstdlib>

#include "index/block.h"

/// Any bytes are a block record or an error; what was read is written and read again as the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using baleen::index::BlockRecord;
  const auto read = BlockRecord::from_json({reinterpret_cast<const char*>(data), size});
  if (!read) return 0;
  const auto again = BlockRecord::from_json(read->to_json());
  if (!again || again->to_json() != read->to_json()) std::abort();
  (void)baleen::index::block_keys(read->recording, read->first, read->block);
  return 0;
}
