#include "io/curl_library.h"

#include <string>

#include "base/library.h"

namespace baleen::io {

#define BALEEN_CURL(name) decltype(&::name) name = nullptr;
#include "io/curl_functions.def"
#undef BALEEN_CURL

namespace {

Result<> load() {
  const char* const files[] = {"libcurl.so.4"};
  const LibraryFunction functions[] = {
#define BALEEN_CURL(name) {#name, reinterpret_cast<void**>(&name)},
#include "io/curl_functions.def"
#undef BALEEN_CURL
  };
  BALEEN_TRY_DO(load_library(files, functions, "servers are spoken to by libcurl (Debian's package libcurl4)"));
  if (const CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); code != CURLE_OK)
    return Error{Code::kInternal, std::string("libcurl: ") + curl_easy_strerror(code)};
  return {};
}

}  // namespace

Result<> load_curl() {
  static const Result<> outcome = load();
  return outcome;
}

}  // namespace baleen::io
