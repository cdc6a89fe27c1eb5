// A head of the PROXY protocol: what was said of the front of some bytes holds for all of them, and whatever was read
// can be shown.

#include <vector>

#include "base/check.h"
#include "dissect/proxy_head.h"
#include "item/json.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace baleen;
  using namespace baleen::dissect;
  using Kind = ProxyReading::Kind;
  if (!may_be_proxy_head({data, size})) return 0;
  ProxyReading firm{Kind::kNeed};
  const auto hold = [&](size_t n) {
    const std::vector<uint8_t> exact(data, data + n);
    ProxyHead head;
    const ProxyReading reading = read_proxy_head(exact, head);
    if (firm.kind != Kind::kNeed) BALEEN_CHECK(reading.kind == firm.kind && reading.bytes == firm.bytes);
    firm = reading;
    if (reading.kind != Kind::kYes) return;
    Arena arena;
    std::string text;
    item::append_json(head.value(arena), text);
    BALEEN_CHECK(reading.bytes > 0 && !text.empty());
  };
  for (size_t n = 1; n < size; n += n < 300 ? 1 : 97) hold(n);
  hold(size);
  return 0;
}
