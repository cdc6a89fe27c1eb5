#include "base/bytes.h"
#include "store/xml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  (void)baleen::store::parse_xml(baleen::as_text({data, size}));
  return 0;
}
