// kfl_reference: prints docs/reference/kfl.md. kfl_reference --check FILE: fails when the file is not what it prints.

#include <cstdio>
#include <fstream>
#include <iterator>
#include <string_view>

#include "dissect/registry.h"
#include "kfl/reference_page.h"

int main(int argc, char** argv) {
  baleen::kfl::Options options;
  options.protocols = baleen::dissect::cards();
  const std::string page = baleen::kfl::reference_page(options);
  if (argc == 3 && std::string_view(argv[1]) == "--check") {
    std::ifstream in(argv[2]);
    if (std::string{std::istreambuf_iterator<char>(in), {}} == page) return 0;
    std::fprintf(stderr, "%s is stale; run: kfl_reference > docs/reference/kfl.md\n", argv[2]);
    return 1;
  }
  std::fwrite(page.data(), 1, page.size(), stdout);
}
