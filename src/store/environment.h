#pragma once

#include <string>

#include "base/result.h"

// Where credentials are looked for: variables and small files.

namespace baleen::store {

/// The variable's value, or null when it is unset or empty.
const char* env(const char* name);
/// The same as text: empty when unset.
std::string env_text(const char* name);
/// A regular file of at most 1 MiB, whole: credentials files are small, anything else is a mistake (kInvalid).
Result<std::string> read_small_file(const std::string& path);
/// The text without white space at its ends: tokens in files often end in a line break.
std::string trimmed(std::string text);

}  // namespace baleen::store
