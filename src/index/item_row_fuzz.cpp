#include <cstdlib>

#include "index/item_row.h"

/// Any bytes are a row or not; what was read is written as the same bytes but for the last, which says yes or no.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  baleen::index::ItemRow row;
  if (!baleen::index::read_row(bytes, row)) return 0;
  std::string again;
  baleen::index::append_row(row, again);
  if (again.size() != size + 4 || again.compare(4, size - 1, bytes.substr(0, size - 1)) != 0) std::abort();
  return 0;
}
