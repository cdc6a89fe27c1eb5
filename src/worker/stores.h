#pragma once

#include "base/result.h"
#include "store/object_store.h"
#include "worker/config.h"

namespace baleen::worker {

/// What the configuration says of credentials at a location. Reads the key's file now, so that a key that was
/// replaced is taken.
Result<store::OpenOptions> open_options(const Config& config, const store::Location& location);

}  // namespace baleen::worker
