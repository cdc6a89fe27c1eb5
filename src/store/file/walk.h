#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "store/object_store.h"

namespace baleen::store::file {

inline constexpr std::string_view kTemporaryFolder = ".baleen-tmp";

/// Size, time and a generation that changes whenever the content does (inode and times).
ObjectFacts facts_of(std::string key, const struct stat& facts);

/// A folder's files as a bucket would list them: in the order of the keys' bytes, a page at a time. Symbolic links are
/// not followed, so that no loop and no way out is. A folder that is not there is an empty bucket.
Result<ListPage> walk(const std::string& folder, const ListOptions& options);

}  // namespace baleen::store::file
