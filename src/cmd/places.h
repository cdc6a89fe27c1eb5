#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "store/object_store.h"

namespace baleen::cmd {

// Whether a location is the right one: what lies there, and what a person may have meant instead.

/// Names of the recordings at a prefix of a store, at most a thousand.
Result<std::vector<std::string>> recording_names(store::ObjectStore& store, const std::string& prefix);

/// kNotFound when there is no recording of that name, with the nearest one that is there, or with all.
Result<> find_recording(store::ObjectStore& store, const std::string& prefix, const std::string& url,
                        const std::string& name);

/// kNotFound, with the place, when recordings lie a few levels below this location, or when it is a part of one.
/// `store` is the location's. Looks at a bounded number of objects.
Result<> check_no_recordings_near(const std::string& url, store::ObjectStore& store, const std::string& prefix);

}  // namespace baleen::cmd
