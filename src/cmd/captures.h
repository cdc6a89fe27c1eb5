#pragma once

#include <string>

#include "base/result.h"
#include "store/object_store.h"

namespace baleen::cmd {

/// Whether there is a capture at a location: for buckets by names, for folders any file may be one.
Result<bool> has_captures(const std::string& url, store::ObjectStore& store);

}  // namespace baleen::cmd
