#pragma once

#include <string>

#include "base/result.h"
#include "worker/config.h"

// This machine and this process, as items and recordings name them, and where they keep their files.

namespace baleen::worker {

std::string host_name();
/// The first IPv4 address that other machines could use.
std::string own_address();
/// Eight hexadecimal digits that no other run has.
std::string random_id();

/// Where the worker keeps its files when the configuration says so, or nothing: absolute.
std::string data_folder_of(const std::string& configured);
/// The same, made.
Result<std::string> choose_data_folder(const std::string& configured);
/// What blocks that wait for their bucket may take of the disk, in bytes. What lies in `folder` already is counted as
/// free.
uint64_t spool_limit(const Config& config, const std::string& folder);

}  // namespace baleen::worker
