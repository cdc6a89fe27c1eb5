#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace baleen {

/// Makes the file at `path` hold `content`, readable by its owner only. After a crash or a power loss at any instant
/// there is what was there before, or all of the new content. One writer at a time.
Result<> replace_file(const std::string& path, std::string_view content);

}  // namespace baleen
