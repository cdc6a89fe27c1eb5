#include <cstdlib>

#include "dissect/tls/decrypt/key_log.h"

// What a key log says of a session is said again by lines(), and says nothing new. Sessions stay bounded.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  using dissect::tls::KeyLog;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  KeyLog log(4), again(4);
  log.add(text);
  if (log.counters().sessions > 4) std::abort();
  for (size_t at = 0; at + 32 <= size && at < 256; ++at) {
    const std::string lines = log.lines({data + at, 32});
    again.add(lines);
    if (again.lines({data + at, 32}) != lines || again.counters().malformed != 0) std::abort();
  }
  std::string random;
  for (size_t at = text.find(' '); at != std::string_view::npos && random.size() < 32; at += 2) {
    if (at + 3 > size) break;
    random += static_cast<char>(std::strtol(std::string(text.substr(at + 1, 2)).c_str(), nullptr, 16));
  }
  again.add(log.lines(as_bytes(random)));
  if (random.size() == 32 && log.counters().sessions == 1 &&
      again.lines(as_bytes(random)) != log.lines(as_bytes(random)))
    std::abort();
  return 0;
}
