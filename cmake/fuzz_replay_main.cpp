// Replays files (or whole folders of them) through a fuzz target, each in an allocation of its own, so that
// a sanitizer sees every read past the end. It is how fuzz targets stay built and their corpora stay tests.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

size_t replay(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  const std::vector<char> content{std::istreambuf_iterator<char>(in), {}};
  auto* exact = static_cast<uint8_t*>(std::malloc(content.size() + (content.empty() ? 1 : 0)));
  if (!content.empty()) std::memcpy(exact, content.data(), content.size());
  LLVMFuzzerTestOneInput(exact, content.size());
  std::free(exact);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::filesystem::is_directory(argv[i])) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(argv[i]))
        if (entry.is_regular_file()) count += replay(entry.path());
    } else {
      count += replay(argv[i]);
    }
  }
  std::printf("replayed %zu inputs\n", count);
  return count == 0 ? 1 : 0;
}
