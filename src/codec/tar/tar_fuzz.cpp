#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "codec/tar/tar.h"

// Reads the input whole and through windows whose sizes come from the input itself: both must give the same files.

namespace {

using namespace baleen;
using codec::TarReader;

struct Digest {
  std::string text, content;
  size_t files = 0;
};

Digest read(Bytes input, size_t step_size) {
  Digest out;
  TarReader reader;
  size_t begin = 0, end = 0;
  uint64_t in_entry = 0;
  for (;;) {
    // Each window in memory of its own, so that nothing beyond it is looked at.
    const std::vector<uint8_t> window(input.begin() + static_cast<ptrdiff_t>(begin),
                                      input.begin() + static_cast<ptrdiff_t>(end));
    const auto step = reader.read(window);
    BALEEN_CHECK(step.consumed <= window.size());
    begin += step.consumed;
    switch (step.kind) {
      case TarReader::Kind::kEntry:
        ++out.files;
        in_entry = 0;
        out.text += reader.entry().name + '\n';
        BALEEN_CHECK(reader.entry().name.size() <= TarReader::kMostExtended);
        continue;
      case TarReader::Kind::kData:
        in_entry += step.data.size();
        out.content += as_text(step.data);
        if (step.last) BALEEN_CHECK(in_entry == reader.entry().size);
        continue;
      case TarReader::Kind::kEnd: out.text += "end\n"; return out;
      case TarReader::Kind::kFailed: out.text += reader.error().message; return out;
      case TarReader::Kind::kNeed: break;
    }
    const size_t have = end - begin;
    if (have >= step.need && step.consumed != 0) continue;
    if (end == input.size()) return out;
    end = std::min(input.size(), std::max(end + step_size, begin + step.need));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const Bytes input(data, size);
  const Digest whole = read(input, size + 1), pieces = read(input, size == 0 ? 1 : 1 + data[size - 1]);
  BALEEN_CHECK(whole.text == pieces.text && whole.content == pieces.content && whole.files == pieces.files);
  return 0;
}
