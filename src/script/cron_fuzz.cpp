#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "script/cron.h"
#include "script/source.h"

// Any text is a schedule or an error, and a schedule's next time lies ahead.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = baleen::as_text({data, size});
  static_cast<void>(baleen::script::script_title(text, "x.js"));
  const auto cron = baleen::script::Cron::parse(text);
  if (!cron) return 0;
  const auto next = cron->next(1'700'000'000, [](int64_t) { return int64_t{3600}; });
  if (next && *next <= 1'700'000'000) std::abort();
  return 0;
}
