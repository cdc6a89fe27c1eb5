#pragma once

// What the two halves of the spool share: its blocks on the disk (spool.cpp) and their way out (spool_upload.cpp).

#include <string>

#include "base/result.h"
#include "store/object_store.h"

namespace baleen::record {

/// A whole file of the spool.
Result<std::string> read_text(const std::string& path);

/// What shares a pause and a store: scheme and bucket, or the folder.
inline std::string lane_of(const store::Location& location) {
  return location.scheme + "://" + (location.bucket.empty() ? location.prefix : location.bucket);
}

}  // namespace baleen::record
