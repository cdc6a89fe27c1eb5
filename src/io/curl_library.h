#pragma once

// Checks of the types of variadic arguments are macros that would name the functions themselves.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include "base/result.h"

// libcurl is loaded with the first HTTP client: it brings thirty other libraries with it (Kerberos, LDAP, two of TLS),
// and who dissects files or records into a folder speaks to no server. Within this namespace its functions' names are
// those of pointers, null until load_curl() has succeeded.

namespace baleen::io {

#define BALEEN_CURL(name) extern decltype(&::name) name;
#include "io/curl_functions.def"
#undef BALEEN_CURL

/// Once for the process; the same answer each time. kNotFound: there is no such library. Any thread.
Result<> load_curl();

}  // namespace baleen::io
