#pragma once

#include <string_view>

#include "base/result.h"

namespace baleen::script {

/// Writes the files and folders below `folder` (a descriptor) into `out` as a gzipped POSIX ustar archive, names
/// relative to the folder. Links and special files are left out, and so is a file of the name `skip` at the top.
Result<> write_tar_gz(int folder, int out, std::string_view skip);

}  // namespace baleen::script
