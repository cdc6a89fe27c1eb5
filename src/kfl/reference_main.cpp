// kfl_reference: prints docs/reference/kfl.md.

#include <cstdio>

#include "kfl/reference_page.h"

int main() {
  const std::string page = baleen::kfl::reference_page();
  std::fwrite(page.data(), 1, page.size(), stdout);
}
