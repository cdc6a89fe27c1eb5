#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kfl/kfl.h"
#include "record/recordings.h"
#include "worker/config.h"

// Recordings as the configuration asks for them.

namespace baleen::worker {

/// A recording's pattern with the configuration's macros; all diagnostics in the error.
Result<kfl::Filter> compile_pattern(const std::string& pattern, const Config& config);
/// What the configuration asks for.
std::vector<record::Definition> definitions_of(const Config& config);
/// The rules of a recording, and those of all.
record::Recordings::CompileRedaction redaction_of(const Config& config);
/// The recordings of a data folder, with the state that is there. `apply` may be empty: no recorder runs.
record::Recordings::Options recordings_options(const Config& config, const std::string& data_folder,
                                               std::function<void(std::vector<record::Recording>)> apply);

}  // namespace baleen::worker
